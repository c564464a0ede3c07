// Draws a chart with Chart.js, in the colours of the page, and saves one as a picture.
import { Chart } from "../vendor/chart.js";

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A goal as a dashed line across the chart. */
const goalLine = {
  id: "goal",
  afterDatasetsDraw(chart, _args, { at, colour: ink }) {
    if (at === undefined) return;
    const { ctx, chartArea, scales } = chart;
    const y = scales.y.getPixelForValue(at);
    ctx.save();
    ctx.strokeStyle = ink;
    ctx.setLineDash([6, 4]);
    ctx.beginPath();
    ctx.moveTo(chartArea.left, y);
    ctx.lineTo(chartArea.right, y);
    ctx.stroke();
    ctx.restore();
  },
};

/** kind: bar, line, or across (bars that lie down). */
export function draw(canvas, { title, kind, stacked, labels, series, unit, max, goal }) {
  const across = kind === "across";
  const ink = colour("ink-2");
  const line = colour("line");
  const font = { family: getComputedStyle(document.body).fontFamily, size: 13 };
  const axis = { stacked, ticks: { color: ink, font, maxRotation: 0, autoSkipPadding: 12 }, grid: { color: line }, border: { color: line } };
  const counted = { ...axis, beginAtZero: true, ...(max ? { max } : {}), ticks: { ...axis.ticks, precision: 0, callback: (value) => `${value}${unit ? ` ${unit}` : ""}` } };
  const named = { ...axis, grid: { display: false }, ticks: { ...axis.ticks, autoSkip: !across, ...(across ? { callback(value) {
    const text = this.getLabelForValue(value);
    return text.length > 14 ? `${text.slice(0, 13)}…` : text;
  } } : {}) } };
  return new Chart(canvas, {
    type: kind === "line" ? "line" : "bar",
    data: {
      labels,
      datasets: series.map((one) => ({
        label: one.name, data: one.values, borderColor: colour(one.colour), backgroundColor: colour(one.colour),
        borderWidth: kind === "line" ? 2 : 0, pointRadius: labels.length > 40 ? 0 : 3, cubicInterpolationMode: "monotone", clip: kind === "line" ? 6 : undefined, maxBarThickness: 26, spanGaps: false,
      })),
    },
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, indexAxis: across ? "y" : "x",
      interaction: { mode: "index", intersect: false, axis: across ? "y" : "x" },
      scales: across ? { x: counted, y: named } : { x: named, y: counted },
      plugins: {
        legend: { display: series.length > 1, position: "bottom", labels: { color: colour("ink"), font, boxWidth: 14 } },
        tooltip: { titleFont: font, bodyFont: font }, title: { display: false, text: title }, goal: { at: goal, colour: colour("ink") },
      },
    },
    plugins: [goalLine],
  });
}

/** Save a chart as PNG, with its title and on the page's background. */
export async function picture(chart, name) {
  const { canvas } = chart;
  const ratio = chart.currentDevicePixelRatio;
  const head = Math.round(36 * ratio);
  const sheet = document.createElement("canvas");
  sheet.width = canvas.width;
  sheet.height = canvas.height + head;
  const context = sheet.getContext("2d");
  context.fillStyle = colour("card");
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.fillStyle = colour("ink");
  context.font = `600 ${Math.round(16 * ratio)}px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  context.fillText(chart.options.plugins.title.text, Math.round(10 * ratio), head / 2);
  context.drawImage(canvas, 0, head);
  const blob = await new Promise((done) => sheet.toBlob(done, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
