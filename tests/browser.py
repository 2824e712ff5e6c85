"""Chromium for tests, driven by its DevTools protocol over a pipe; no package and no port.

The protocol is described at chromedevtools.github.io/devtools-protocol. A page that is shown can do
what pages of an attacker want: run code, send requests, leave for another page. All of it is
recorded, nothing of it reaches a network.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
_OPTIONS = (
    *("--headless=new", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--remote-debugging-pipe", "--disable-extensions", "--disable-background-networking"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1280,1000", "--no-sandbox"),
)
_WATCH = """
window.__refused = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.__refused.push(`${event.violatedDirective} ${event.blockedURI}`));
for (const name of ["alert", "confirm", "prompt", "open"])
  window[name] = (...words) => { __ran(`${name} ${words[0]}`); return null; };
Object.defineProperty(window, "__pwned", { set(value) { __ran(`canary ${value}`); } });
"""
# Every element that could act is moved over, focused and clicked, as are the points of plots.
_TOUCH = """
(async () => {
  let touched = 0;
  const send = (place, kind, x, y) => place.dispatchEvent(new MouseEvent(kind,
    { bubbles: true, cancelable: true, view: window, clientX: x, clientY: y }));
  const touch = (place, kinds) => {
    const box = place.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    for (const kind of kinds ?? ["mouseover", "mouseenter", "mousedown", "mouseup", "click"])
      send(place, kind, x, y);
    touched += 1;
  };
  for (const place of document.querySelectorAll("details")) place.open = true;
  for (const place of document.querySelectorAll("a, area, button, [tabindex], [onclick], input")) {
    if (place.closest(".js-plotly-plot")) continue;
    if (place.focus) place.focus();
    touch(place);
    await new Promise((done) => setTimeout(done, 2));  // else the next click cancels a navigation
  }
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    for (const [curve, trace] of plot.data.entries()) {
      const points = (trace.x || trace.z || []).length;
      for (let point = 0; point < Math.min(points, 10); point += 1)
        try {
          const number = trace.type === "heatmap" ? [point, 0] : point;
          Plotly.Fx.hover(plot, [{ curveNumber: curve, pointNumber: number }]);
          await new Promise((done) => setTimeout(done, 1));
          for (const link of plot.querySelectorAll("svg a")) touch(link, ["click"]);
          touched += 1;
        } catch (error) { }
    }
    // plotly.js writes to the events of its dragging and clicks, so only links are clicked.
    for (const part of plot.querySelectorAll("text, tspan, path.point")) touch(part, ["mouseover"]);
    for (const link of plot.querySelectorAll("svg a")) touch(link, ["mouseover", "click"]);
  }
  await new Promise((done) => setTimeout(done, 100));
  return touched;
})()
"""
_LINKS = """
[...document.querySelectorAll("a, area, form, iframe, object, embed, base")].map((e) =>
  e.getAttribute("href") ?? e.getAttribute("xlink:href") ?? e.getAttribute("action")
  ?? e.getAttribute("src") ?? e.tagName)
"""


@dataclass
class Seen:
    """What a page did.

    Attributes:
        ran: Code of an attacker that ran.
        requests: Addresses that the page asked for, other than its own files.
        left: Addresses that the page, or a click, wanted to go to.
        refused: Actions that the page's own policy stopped.
        errors: Errors of the console.
        links: Addresses of links, forms and frames.
        touched: Number of elements and points that were clicked.
    """

    ran: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    touched: int = 0


class Browser:
    """A running Chromium with one page."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._number, self._left = 0, b""
        self._session: str | None = None
        self._seen, self._own, self._open = Seen(), "file:", False
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        found = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")
        self._ask("Runtime.addBinding", name="__ran")
        self._ask("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        self._ask("Fetch.enable", patterns=[{"urlPattern": "*"}])

    def visit(self, page: Path, folder: Path) -> Seen:
        """Open a page, touch everything on it and return what it did.

        Args:
            page: File of the page.
            folder: Folder of the site: pages in it are no other place to go to.
        """
        self._seen, self._own, self._open = Seen(), folder.as_uri(), True
        self._ask("Page.navigate", url=page.as_uri())
        self._until_loaded()
        self._seen.links, self._open = self.value(_LINKS), False
        self._seen.touched = self.value(_TOUCH)
        self._seen.refused = self.value("window.__refused")
        return self._seen

    def value(self, script: str) -> Any:
        """Return the value of an expression on the page."""
        found = self._ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def _until_loaded(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            time.sleep(0.02)
            if self.value("document.readyState === 'complete' && location.href") not in (
                False,
                "about:blank",
            ):
                return
        raise TimeoutError(self._own)

    def _ask(self, method: str, **parameters: Any) -> Any:
        number = self._send(method, **parameters)
        while True:
            message = self._next()
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._note(message.get("method", ""), message.get("params", {}))

    def _send(self, method: str, **parameters: Any) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        return self._number

    def _next(self) -> Any:
        while b"\0" not in self._left:
            ready, _, _ = select([self._read], [], [], 60)
            part = os.read(self._read, 1 << 20) if ready else b""
            if not part:
                raise TimeoutError("chromium does not answer")
            self._left += part
        line, _, self._left = self._left.partition(b"\0")
        return json.loads(line)

    def _note(self, event: str, told: dict[str, Any]) -> None:
        seen = self._seen
        if event == "Fetch.requestPaused":
            url, number = told["request"]["url"], told["requestId"]
            own = url.startswith(self._own)
            if own and self._open:  # the page itself and its files
                self._send("Fetch.continueRequest", requestId=number)
            else:
                seen.requests += [] if own else [url]
                self._send("Fetch.failRequest", requestId=number, errorReason="Aborted")
        elif event == "Page.frameRequestedNavigation":
            seen.left += [] if told["url"].startswith(self._own) else [told["url"]]
        elif event == "Runtime.bindingCalled":
            seen.ran.append(told["payload"])
        elif event == "Page.javascriptDialogOpening":
            seen.ran.append(f"dialog {told['message']}")
            self._send("Page.handleJavaScriptDialog", accept=True)
        elif event == "Log.entryAdded":
            seen.errors.append(told["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            seen.errors.append(str(told["exceptionDetails"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Yield a browser with a profile in a folder; it ends with the block."""
    assert FOUND, "no chromium"
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    for number in (theirs_in, theirs_out):
        os.set_inheritable(number, True)
    # Chromium reads commands from descriptor 3 and writes answers to 4.
    shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    command = ["bash", "-c", shell, "-", FOUND, *_OPTIONS, f"--user-data-dir={folder}"]
    surroundings = {**os.environ, "HOME": str(folder.parent)}
    with (folder.parent / "chromium.log").open("w") as log:
        child = subprocess.Popen(
            command,
            pass_fds=(theirs_in, theirs_out),
            stdout=log,
            stderr=log,
            env=surroundings,
        )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_in, ours_out)
    finally:
        os.close(ours_in)
        os.close(ours_out)  # Chromium ends with its pipe
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
