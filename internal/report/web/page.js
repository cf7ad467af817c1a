// What the page draws: the timeline, from which a stretch is chosen, the icicle, and
// the small curves of a list. All it needs is in the page; it asks nobody.
import { select } from "d3-selection";
import flamegraph from "d3-flame-graph";
import uPlot from "uplot";

const data = (id) => {
  const at = document.getElementById(id);
  return at ? JSON.parse(at.textContent) : null;
};
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);

// seconds per second as CPUs or threads, a share as percent
const number = (x) => (x === 0 ? "0" : x >= 100 ? x.toFixed(0) : x >= 1 ? x.toFixed(2) : x.toPrecision(2));
const short = (s) => (s === 0 ? "0" : s < 1e-3 ? (s * 1e6).toFixed(0) + " µs" : s < 1 ? +(s * 1e3).toPrecision(3) + " ms" : s.toFixed(2) + " s");

function timeline(at, service) {
  const hops = service.hops;
  if (!hops || hops.length < 2) {
    return;
  }
  const spans = hops.some((h) => h.spans);
  const xs = hops.map((h) => h.start / 1000 + h.seconds);
  const judged = (key) => hops.map((h) => (h.judged ? h[key] : null));
  const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "12px system-ui" };
  const series = [
    { label: "score", values: judged("score"), color: "--bad", scale: "score", width: 2 },
    { label: "load", values: judged("load"), color: "--muted", scale: "score", dash: [4, 4] },
    { label: "CPU", values: hops.map((h) => h.cpu), color: "--cpu", scale: "busy", width: 2 },
    { label: "waiting", values: judged("waiting"), color: "--wait", scale: "busy", width: 2 },
  ];
  const panels = [
    { of: series.slice(0, 2), text: "score, load", format: number },
    { of: series.slice(2), text: "CPUs, threads waiting", format: number },
  ];
  if (spans) {
    panels.push({
      of: [
        { label: "median span", values: hops.map((h) => (h.spans ? h.median : null)), color: "--span", scale: "span", width: 2 },
        { label: "95th percentile", values: hops.map((h) => (h.spans ? h.p95 : null)), color: "--span", scale: "span", dash: [4, 4] },
      ],
      text: "latency of its spans", format: short,
    });
  }
  const chosen = service.chosen;
  const marks = service.marks || [];
  const draw = (u) => {
    const ctx = u.ctx;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    const band = (from, to, color) => {
      const a = u.valToPos(from, "x", true);
      const b = u.valToPos(to, "x", true);
      ctx.fillStyle = color;
      ctx.fillRect(Math.floor(a), top, Math.max(1, Math.ceil(b) - Math.floor(a)), height);
    };
    hops.forEach((h, i) => h.abnormal && band(xs[i] - h.seconds, xs[i], css("--band")));
    if (chosen) { // a bar along the bottom: the colour of an anomaly stays what it is
      const a = u.valToPos(chosen.from / 1000, "x", true);
      const b = u.valToPos(chosen.to / 1000, "x", true);
      ctx.fillStyle = css("--link");
      ctx.fillRect(a, top + height - 4 * devicePixelRatio, Math.max(2, b - a), 4 * devicePixelRatio);
    }
    ctx.strokeStyle = css("--muted");
    ctx.setLineDash([2, 3]);
    for (const m of marks) {
      const x = u.valToPos(Date.parse(m.at) / 1000, "x", true);
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
    }
    ctx.restore();
  };
  const choose = (u) => {
    if (!service.pick || u.select.width < 4) {
      return;
    }
    const from = Math.round(u.posToVal(u.select.left, "x") * 1000);
    const to = Math.round(u.posToVal(u.select.left + u.select.width, "x") * 1000);
    location.assign("?from=" + from + "&to=" + to + "#stretch");
  };
  // Without a pointer the legend says how it is by now.
  const latest = (u) => u.legend.idx == null && u.setLegend({ idx: xs.length - 1 }, false);
  const plots = panels.map((p, i) => {
    const holder = document.createElement("div");
    at.appendChild(holder);
    const scale = p.of[0].scale;
    return new uPlot(
      {
        width: at.clientWidth,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        height: i === panels.length - 1 ? 130 : 110,
        cursor: { sync: { key: "hops" }, drag: { x: true, y: false, setScale: false } },
        legend: { live: true },
        scales: { x: { time: true }, [scale]: { range: (u, min, max) => [0, Math.max(max * 1.1, scale === "score" ? 1.2 : 1e-3)] } },
        axes: [
          { ...axis, size: i === panels.length - 1 ? 28 : 8, space: 72, values: (u, vs) => vs.map((v) => (i === panels.length - 1 ? utc(v) : "")) },
          { ...axis, scale, size: 64, space: 26, values: (u, vs) => vs.map(p.format) },
        ],
        series: [
          { value: (u, v) => (v == null ? "–" : utc(v) + " UTC") },
          ...p.of.map((s) => ({
            label: s.label, scale: s.scale, stroke: css(s.color), width: s.width || 1, dash: s.dash, points: { show: false },
            value: (u, v) => (v == null ? "–" : p.format(v)),
          })),
        ],
        hooks: { drawClear: [draw], setSelect: [choose], setLegend: [latest] },
      },
      [xs, ...p.of.map((s) => s.values)],
      holder,
    );
  });
  plots.forEach(latest);
  new ResizeObserver(() => plots.forEach((u) => u.setSize({ width: at.clientWidth, height: u.height }))).observe(at);
}

// The part of a node that a tab shows, and what is normal for it.
const parts = {
  all: [(n) => n[1] + n[2], (n) => n[3] + n[4]],
  cpu: [(n) => n[1], (n) => n[3]],
  wait: [(n) => n[2], (n) => n[4]],
  normal: [(n) => n[3] + n[4], (n) => n[1] + n[2]],
};

function icicle(at, tree) {
  let chart = null;
  const details = document.getElementById("node");
  const build = (n, part) => {
    const [now, past] = part;
    const [name, module, call] = tree.names[n[0]];
    return {
      name: name || "all", module, call, value: now(n), past: past(n),
      children: (n[5] || []).filter((c) => now(c) > 0).map((c) => build(c, part)),
    };
  };
  const light = matchMedia("(prefers-color-scheme: dark)");
  const draw = (tab) => {
    at.replaceChildren();
    const root = build(tree.root, parts[tab]);
    if (root.value <= 0) {
      at.textContent = "Nothing in this stretch.";
      return;
    }
    const whole = root.value;
    const percent = (x) => ((100 * x) / whole).toFixed(1) + " %";
    const say = (d) =>
      `${d.call ? "waits in " : ""}${d.name}${d.module ? " (" + d.module + ")" : ""}: ${percent(d.value)}, ${number(d.value)} s in each second; ` +
      `${tab === "normal" ? "now" : "normally"} ${number(d.past)} s`;
    chart = flamegraph()
      .width(at.clientWidth)
      .cellHeight(20)
      .inverted(true)
      .sort(true)
      .minFrameSize(1)
      .transitionDuration(0)
      .setColorMapper((d) => color(d.data, tab, whole))
      .label((d) => say(d.data))
      .onHover((d) => (details.textContent = say(d.data)))
      .onClick((d) => (details.textContent = say(d.data)));
    chart.tooltip(false);
    select(at).datum(root).call(chart);
    const svg = at.querySelector("svg");
    if (svg) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", "Call tree; the table of functions says the same in text.");
    }
    details.textContent = say(root);
  };
  // Red has grown against the past at this load, blue has shrunk, grey is as ever.
  const color = (d, tab, whole) => {
    const grown = (tab === "normal" ? -1 : 1) * (d.value - d.past);
    const much = Math.min(1, Math.abs(grown) / Math.max(d.value, 0.02 * whole));
    const dark = light.matches;
    const hue = grown >= 0 ? 12 : 215;
    const base = dark ? 30 : 90;
    const to = dark ? 42 : 66;
    return `hsl(${hue} ${Math.round(75 * much)}% ${Math.round(base + (to - base) * much)}%)`;
  };
  let tab = "all";
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const show = (to) => {
    tab = to.dataset.tab;
    for (const t of tabs) {
      t.setAttribute("aria-selected", String(t === to));
      t.tabIndex = t === to ? 0 : -1;
    }
    at.setAttribute("aria-labelledby", to.id);
    draw(tab);
  };
  tabs.forEach((t, i) => {
    t.addEventListener("click", () => show(t));
    t.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (step) {
        const next = tabs[(i + step + tabs.length) % tabs.length];
        next.focus();
        show(next);
      }
    });
  });
  draw(tab);
  let width = at.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(at.clientWidth - width) > 8) {
      width = at.clientWidth;
      draw(tab);
    }
  }).observe(at);
  light.addEventListener("change", () => draw(tab));
  const search = document.getElementById("find");
  search?.addEventListener("input", () => (search.value ? chart.search(search.value) : chart.clear()));
}

const service = data("service");
const line = document.getElementById("timeline");
if (service && line) {
  timeline(line, service);
}
const tree = data("tree");
const holder = document.getElementById("icicle");
if (tree && holder) {
  icicle(holder, tree);
}
