// A line that follows the pointer and says what was observed and expected there. The page is whole without it.
"use strict";
for (const plot of document.querySelectorAll("[data-points]")) {
  const points = JSON.parse(plot.dataset.points);
  const field = plot.querySelector(".field");
  const readout = plot.parentElement.querySelector(".readout");
  const cursor = document.createElement("i");
  cursor.className = "cursor";
  cursor.hidden = true;
  field.append(cursor);
  const dollars = (amount) => "$" + (amount >= 0.095 ? amount.toFixed(2) : Number(amount.toPrecision(2)));
  const show = (event) => {
    const box = field.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 0.999999);
    const at = Math.floor(share * points.observed.length);
    const time = new Date((points.first + at * points.bucket) * 60000);
    const expected = points.expected[at] === null ? "" : `, expected ${dollars(points.expected[at])}`;
    cursor.hidden = false;
    cursor.style.left = `${share * 100}%`;
    readout.textContent = `${time.toUTCString().slice(0, 22)}: ${dollars(points.observed[at])} a minute${expected}`;
  };
  field.addEventListener("pointermove", show);
  field.addEventListener("pointerdown", show);
  field.addEventListener("pointerleave", () => {
    cursor.hidden = true;
    readout.textContent = "";
  });
}
