"use strict";

// Sorting: a click on a heading sorts by its column; a second click reverses the order.
function sortBy(button) {
  const heading = button.parentElement, row = heading.parentElement;
  const column = [...row.children].indexOf(heading);
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of row.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = row.closest("table").tBodies[0];
  const key = (line) => line.children[column].dataset.key;
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");  // unknown values stay last
    const difference = Number(a) - Number(b);
    const order = Number.isNaN(difference) ? a.localeCompare(b) : difference;
    return down ? -order : order;
  };
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
}

for (const button of document.querySelectorAll("thead button"))
  button.addEventListener("click", () => sortBy(button));

// Plots use the colours of the style sheet, and are drawn again when the theme changes.
const plots = JSON.parse(document.getElementById("plots").textContent);

function themed(data, layout) {
  const narrow = innerWidth < 640;  // no room for a legend at the side
  const style = getComputedStyle(document.documentElement);
  const [ink, line, card] = ["--ink", "--line", "--card"].map((n) => style.getPropertyValue(n).trim());
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
  return {
    margin: { l: 60, r: 10, t: 40, b: 50 },
    hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: getComputedStyle(document.body).fontFamily, size: 12 },
    hoverlabel: { bgcolor: card, bordercolor: line, font: { color: ink }, align: "left" },
    legend: narrow ? { orientation: "h", y: -0.2 } : {},
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: ink },
    ...layout,
    height: layout.height + (narrow ? 24 * data.filter((trace) => trace.showlegend ?? trace.name).length : 0),
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  };
}

// An explicit list: some of plotly's default buttons open other sites.
const buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
const options = { responsive: true, displaylogo: false, modeBarButtons: buttons };

function draw(place) {
  const { data, layout } = plots[place.dataset.plot];
  if (!window.Plotly) place.textContent = "plotly.min.js is missing in the folder of this page.";
  else Plotly.react(place, data, themed(data, layout), options);
}

const places = document.querySelectorAll("[data-plot]");
places.forEach(draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => places.forEach(draw));

for (const choice of document.querySelectorAll("[data-target]"))
  choice.addEventListener("change", () => {
    const place = document.getElementById(choice.dataset.target);
    place.dataset.plot = choice.value;
    draw(place);
  });
