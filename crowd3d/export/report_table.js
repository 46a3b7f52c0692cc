const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const canvas = $("view");
const COLUMNS = [
  ["id", "ID", 0], ["x_m", "x (m)", 2], ["y_m", "y (m)", 2], ["z_m", "z (m)", 2], ["above_m", "Above (m)", 2],
  ["stature_m", "Stature (m)", 2], ["heading_deg", "Heading (°)", 0], ["score", "Score", 2],
  ["sigma_major_m", "σ long (m)", 2], ["sigma_minor_m", "σ short (m)", 2], ["support", "Support", null],
];
// Instead of these, a note why there is no place.
const PLACE = ["x_m", "y_m", "z_m", "above_m", "stature_m", "heading_deg"];
let chosen = -1;  // row of data.people
let redraw = () => {};
let visit = () => {};
let highlight = () => {};
let cropOf = () => [];

// -- table --------------------------------------------------------------------------------------
const format = (value, digits) => (value === null ? "–" : digits === null ? value : value.toFixed(digits));
const body = document.querySelector(".people tbody");
const tableRows = data.people.map((person, i) => {
  const row = document.createElement("tr");
  for (const [key, , digits] of COLUMNS) {
    if (person.note && PLACE.includes(key)) continue;
    row.insertCell().textContent = format(person[key], digits);
    if (person.note && key === "id") {
      const note = row.insertCell();
      note.className = "note";
      note.colSpan = PLACE.length;
      note.textContent = `no place: ${person.note}`;
    }
  }
  row.addEventListener("click", () => choose(i, true));
  return row;
});
const order = data.people.map((_, i) => i);
let sorted = ["id", 1];
function sortBy(key) {
  sorted = [key, sorted[0] === key ? -sorted[1] : 1];
  const value = (i) => data.people[i][key] ?? Infinity;
  order.sort((a, b) => sorted[1] * ((value(a) > value(b)) - (value(a) < value(b))) || a - b);
  body.append(...order.map((i) => tableRows[i]));
}
const head = document.querySelector(".people thead").insertRow();
for (const [key, label] of COLUMNS) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", () => sortBy(key));
  const cell = document.createElement("th");
  cell.scope = "col";
  cell.append(button);
  head.append(cell);
}
body.append(...tableRows);

function choose(i, go) {
  tableRows[chosen]?.classList.remove("chosen");
  chosen = i;
  highlight(i);
  $("person").hidden = i < 0;
  if (i >= 0) {
    const row = tableRows[i], box = row.closest(".scroll");
    row.classList.add("chosen");
    if (!go) box.scrollTop = row.offsetTop - box.clientHeight / 2;
    const title = document.createElement("strong"), table = document.createElement("table");
    const person = data.people[i];
    title.textContent = `Person ${person.id}`;
    for (const [key, label, digits] of COLUMNS.slice(1)) {
      if (person.note && key !== "score") continue;
      const line = table.insertRow();
      line.insertCell().textContent = label;
      line.insertCell().textContent = format(person[key], digits);
    }
    if (person.note) {
      const note = table.insertRow().insertCell();
      note.colSpan = 2;
      note.className = "note";
      note.textContent = `No place: ${person.note}`;
    }
    $("person").replaceChildren(title, ...cropOf(i), table);
    if (go) visit(i);
  }
  redraw();
}
