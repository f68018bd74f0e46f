// Draws the curves of a service's page with Chart.js, which unfold brings, in the theme's colours; redraws them when figures or theme change.

(() => {
  const language = document.documentElement.lang;
  const numbers = new Intl.NumberFormat(language, { maximumSignificantDigits: 4 });
  const short = new Intl.NumberFormat(language, { notation: "compact", maximumSignificantDigits: 3 });
  const drawn = new Map();

  const colour = (name) => getComputedStyle(document.querySelector(".dash")).getPropertyValue(`--${name}`).trim();
  // The zone of the page's own times, not the browser's.
  const timeZone = document.querySelector(".dash").dataset.zone;
  const moments = (options) => new Intl.DateTimeFormat(language, { hourCycle: "h23", timeZone, ...options });
  const CLOCK = { hour: "2-digit", minute: "2-digit" };
  const WITH_SECONDS = moments({ ...CLOCK, second: "2-digit" });
  const HOURS = moments(CLOCK);
  const DAYS = moments({ day: "2-digit", month: "2-digit" });
  const WHOLE = moments({ day: "2-digit", month: "2-digit", ...CLOCK, second: "2-digit" });
  const shown = (value) => (value == null ? "—" : numbers.format(value));

  function tick(value) {
    const span = this.max - this.min;
    const format = span < 600 ? WITH_SECONDS : span < 129_600 ? HOURS : DAYS;
    return format.format(new Date(value * 1000));
  }

  // The first two series are the remote and the local side; what follows are the same sides' slower calls, dashed.
  function stroke(chart, index) {
    if (chart.series.length === 1) return { borderColor: colour(chart.name === "share" ? "away" : "accent"), borderWidth: 2 };
    const sides = [colour("away"), colour("home")];
    return index < 2 ? { borderColor: sides[index], borderWidth: 2 } : { borderColor: sides[index - 2], borderWidth: 1, borderDash: [5, 4] };
  }

  function data(chart) {
    return {
      datasets: chart.labels.map((label, index) => ({
        label,
        data: chart.at.map((at, place) => ({ x: at, y: chart.series[index][place] })),
        stepped: chart.kind === "steps" ? "before" : false,
        spanGaps: false,
        pointRadius: chart.at.length === 1 ? 2 : 0,
        pointHitRadius: 8,
        ...stroke(chart, index),
      })),
    };
  }

  function scale(chart) {
    const values = chart.series.flat().filter((value) => value != null);
    const highest = Math.max(0, ...values);
    const axis = { border: { display: false }, grid: { color: colour("grid") }, ticks: { color: colour("soft"), font: { size: 11 }, maxTicksLimit: 6 } };
    axis.ticks.callback = (value) => short.format(value);
    if (chart.kind === "steps") return { ...axis, min: 0, max: 105 };
    if (chart.kind !== "log") return { ...axis, min: 0, max: highest ? highest * 1.15 : 1 };
    // Of a logarithmic axis only the powers of ten.
    axis.ticks.callback = (value) => (Math.abs(Math.log10(value) % 1) > 1e-9 ? "" : short.format(value));
    const lowest = Math.min(0.1, ...values.filter((value) => value > 0).map((value) => 10 ** Math.floor(Math.log10(value))));
    return { ...axis, type: "logarithmic", min: lowest, max: Math.max(highest, chart.limit ?? 0) * 5 };
  }

  const limit = {
    id: "limit",
    afterDatasetsDraw(plot) {
      const { chart } = plot.options.plugins.limit;
      if (chart.limit == null) return;
      const { ctx, chartArea, scales } = plot;
      const y = scales.y.getPixelForValue(chart.limit);
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = colour("bad");
      ctx.setLineDash([6, 4]);
      ctx.beginPath();
      ctx.moveTo(chartArea.left, y);
      ctx.lineTo(chartArea.right, y);
      ctx.stroke();
      ctx.font = "11px system-ui, sans-serif";
      ctx.fillText(chart.limit_words, chartArea.left + 6, y - 5);
      ctx.restore();
    },
  };

  // The legend says the newest value of each series; the tooltip that of the moment pointed at.
  function legend(plot) {
    return plot.data.datasets.map((set, index) => ({
      text: `${set.label}: ${shown(set.data.at(-1)?.y)}`,
      fontColor: colour("ink"),
      fillStyle: set.borderColor,
      strokeStyle: set.borderColor,
      lineDash: set.borderDash,
      lineWidth: 2,
      hidden: !plot.isDatasetVisible(index),
      datasetIndex: index,
    }));
  }

  function options(chart) {
    const time = { type: "linear", border: { display: false }, grid: { color: colour("grid") } };
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { ...time, min: chart.at[0], max: chart.at.at(-1), ticks: { callback: tick, color: colour("soft"), font: { size: 11 }, maxTicksLimit: 5, maxRotation: 0 } },
        y: scale(chart),
      },
      plugins: {
        limit: { chart },
        legend: { position: "bottom", align: "start", labels: { boxWidth: 16, boxHeight: 0, generateLabels: legend } },
        tooltip: {
          callbacks: {
            title: ([item]) => (item ? WHOLE.format(new Date(item.parsed.x * 1000)) : ""),
            label: (item) => `${item.dataset.label}: ${shown(item.parsed.y)}`,
          },
        },
      },
    };
  }

  function draw(chart) {
    const place = document.querySelector(`[data-chart="${CSS.escape(chart.name)}"] .dash-plot`);
    if (!place) return;
    drawn.get(chart.name)?.plot.destroy();
    const canvas = document.createElement("canvas");
    place.replaceChildren(canvas);
    const plot = new Chart(canvas, { type: "line", data: data(chart), options: options(chart), plugins: [limit] });
    drawn.set(chart.name, { plot, chart, place });
  }

  function drawAll() {
    const given = document.getElementById("dash-charts");
    if (given) JSON.parse(given.textContent).forEach(draw);
  }

  document.addEventListener("dashboard:live", ({ detail }) => {
    for (const chart of detail) {
      const known = drawn.get(chart.name);
      if (!known?.place.isConnected || known.chart.series.length !== chart.series.length) {
        draw(chart);
        continue;
      }
      known.chart = chart;
      // In place: a series that was hidden by a click on its legend stays hidden.
      data(chart).datasets.forEach((set, index) => Object.assign(known.plot.data.datasets[index], set));
      known.plot.options = options(chart);
      known.plot.update("none");
    }
  });
  document.addEventListener("dashboard:redraw", drawAll);
  new MutationObserver(() => [...drawn.values()].forEach(({ chart }) => draw(chart))).observe(document.documentElement, { attributeFilter: ["class"] });
  drawAll();
})();
