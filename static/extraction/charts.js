// Draws the curves of a service's page with uPlot, in the theme's colours, and redraws them when new figures or another theme arrive.

(() => {
  const HEIGHT = 190;
  const language = document.documentElement.lang;
  const numbers = new Intl.NumberFormat(language, { maximumSignificantDigits: 4 });
  const short = new Intl.NumberFormat(language, { notation: "compact", maximumSignificantDigits: 3 });
  const plots = new Map();

  const colour = (name) => getComputedStyle(document.querySelector(".dash")).getPropertyValue(`--${name}`).trim();
  const moments = (options) => new Intl.DateTimeFormat(language, options);
  const WITH_SECONDS = moments({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const HOURS = moments({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const DAYS = moments({ day: "2-digit", month: "2-digit" });
  const WHOLE = moments({ day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

  function moment(plot, splits) {
    const span = plot.scales.x.max - plot.scales.x.min;
    const format = span < 600 ? WITH_SECONDS : span < 129_600 ? HOURS : DAYS;
    return splits.map((at) => format.format(new Date(at * 1000)));
  }

  // The first two series are away and home; what follows are the same sides' slower calls, dashed.
  function look(chart, index) {
    const sides = [colour("away"), colour("home")];
    if (chart.series.length === 1) return { stroke: colour(chart.name === "share" ? "away" : "accent"), width: 2 };
    return index < 2 ? { stroke: sides[index], width: 2 } : { stroke: sides[index - 2], width: 1, dash: [5, 4] };
  }

  function series(chart) {
    const stepped = chart.kind === "steps" ? { paths: uPlot.paths.stepped({ align: 1 }) } : {};
    return chart.labels.map((label, index) => ({
      label,
      value: (_, value) => (value == null ? "—" : numbers.format(value)),
      ...look(chart, index),
      ...stepped,
    }));
  }

  function scale(chart) {
    if (chart.kind === "log") {
      return { distr: 3, range: (_, low, high) => [Math.min(0.1, 10 ** Math.floor(Math.log10(low || 0.1))), Math.max(high, chart.limit) * 5] };
    }
    if (chart.kind === "steps") return { range: [0, 105] };
    return { range: (_, low, high) => [0, high > 0 ? high * 1.15 : 1] };
  }

  function drawLimit(chart) {
    return (plot) => {
      if (chart.limit == null) return;
      const { ctx, bbox } = plot;
      const y = plot.valToPos(chart.limit, "y", true);
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = colour("bad");
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
      ctx.textAlign = "left";
      ctx.fillText(chart.limit_words, bbox.left + 6 * devicePixelRatio, y - 5 * devicePixelRatio);
      ctx.restore();
    };
  }

  function options(chart, place, width) {
    const axis = { stroke: colour("soft"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const isLog = chart.kind === "log";
    const shown = (values) => values.map((value) => (value == null ? "" : short.format(value)));
    // Of a logarithmic axis only the powers of ten.
    const powers = (_, splits) => splits.map((value) => (isLog && Math.abs(Math.log10(value) % 1) > 1e-9 ? null : value));
    return {
      width,
      height: HEIGHT,
      legend: { live: true },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true }, y: scale(chart) },
      axes: [
        { ...axis, values: moment, space: 58 },
        { ...axis, size: 52, filter: powers, grid: { ...axis.grid, filter: powers }, values: (_, values) => shown(values) },
      ],
      series: [{ value: (_, at) => (at == null ? "—" : WHOLE.format(new Date(at * 1000))), label: place.closest("[data-time]")?.dataset.time ?? "" }, ...series(chart)],
      hooks: { draw: [drawLimit(chart)] },
    };
  }

  function draw(chart) {
    const place = document.querySelector(`[data-chart="${CSS.escape(chart.name)}"] .dash-plot`);
    if (!place) return;
    plots.get(chart.name)?.plot.destroy();
    place.replaceChildren();
    const width = place.clientWidth || 320;
    const plot = new uPlot(options(chart, place, width), [chart.at, ...chart.series], place);
    plots.set(chart.name, { plot, chart, place });
    sizes.observe(place);
    showLatest(plot);
  }

  // Under a chart that nobody points at stand its newest values.
  function showLatest(plot) {
    if (plot.cursor.left < 0 || plot.cursor.left == null) plot.setLegend({ idx: plot.data[0].length - 1 });
  }

  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      for (const { plot, place } of plots.values()) {
        if (place === target && target.clientWidth && target.clientWidth !== plot.width) {
          plot.setSize({ width: target.clientWidth, height: HEIGHT });
        }
      }
    }
  });

  function drawAll() {
    const given = document.getElementById("dash-charts");
    if (given) JSON.parse(given.textContent).forEach(draw);
  }

  document.addEventListener("dashboard:live", ({ detail }) => {
    for (const chart of detail) {
      const known = plots.get(chart.name);
      if (!known || !known.place.isConnected) draw(chart);
      else {
        known.chart = chart;
        known.plot.setData([chart.at, ...chart.series]);
        showLatest(known.plot);
      }
    }
  });
  document.addEventListener("dashboard:redraw", drawAll);
  new MutationObserver(() => [...plots.values()].forEach(({ chart }) => draw(chart))).observe(document.documentElement, { attributeFilter: ["class"] });
  drawAll();
})();
