// The explorer: curves, histograms and 16-bit errors of the activations that are chosen.
//
// Plain scripts, so that the page works from a folder, without a server: `explorer/index.js` calls
// explorer.catalogue, and `explorer/NAME.js`, loaded when NAME is chosen, calls explorer.receive.
"use strict";

const explorer = (() => {
  const MOST = 5;
  const ORDERS = ["Value", "First derivative", "Second derivative"];
  const FOLDER = document.currentScript.src.replace(/[^/]*$/, "explorer/");
  const known = {}; // what was loaded, by name
  const chosen = []; // {name, at: the index on each axis}
  let common, at = 1, order = 1, weights = 0;

  // -- small helpers ---------------------------------------------------------------------------

  const $ = (id) => document.getElementById(id);

  function element(tag, attributes = {}, ...children) {
    const svg = ["svg", "path", "line", "circle", "text", "g", "rect", "clipPath"].includes(tag);
    const made = svg
      ? document.createElementNS("http://www.w3.org/2000/svg", tag)
      : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  function array(text, Type) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Type(bytes.buffer);
  }

  function short(value) {
    if (value === null) return "none";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    const text = size && (size < 1e-4 || size >= 1e5) ? value.toExponential(3) : +value.toPrecision(5);
    return String(text).replace("-", "\u2212");
  }

  // -- data ------------------------------------------------------------------------------------

  function catalogue(data) {
    common = data;
    for (const { name } of data.activations) $("names").append(element("option", { value: name }));
    const wanted = decodeURIComponent(location.hash.slice(1)).split(",");
    const there = wanted.filter((name) => data.activations.some((a) => a.name === name));
    (there.length ? there : ["gelu", "silu"]).forEach(choose);
  }

  function receive(data) {
    data.x = array(data.x, Float32Array);
    data.y = array(data.y, Float32Array);
    data.counts = array(data.counts, Uint16Array);
    data.spread = array(data.spread, Float32Array);
    known[data.name] = data;
    const entry = chosen.find((one) => one.name === data.name);
    if (entry) {
      entry.at = data.axes.map((axis) => axis.usual);
      draw();
    }
  }

  function choose(name) {
    if (chosen.some((one) => one.name === name)) return tell(`${name} is there already.`);
    if (!common.activations.some((one) => one.name === name)) return tell(`There is no ${name}.`);
    if (chosen.length === MOST) return tell(`Remove one first: ${MOST} curves are enough.`);
    tell("");
    const used = chosen.map((one) => one.colour);
    const colour = [0, 1, 2, 3, 4].find((number) => !used.includes(number));
    chosen.push({ name, colour, at: known[name] && known[name].axes.map((axis) => axis.usual) });
    if (known[name]) draw();
    else document.head.append(element("script", { src: `${FOLDER}${name}.js` }));
    remember();
  }

  function remove(name) {
    chosen.splice(chosen.findIndex((one) => one.name === name), 1);
    remember();
    draw();
    $("choice").focus();
  }

  function remember() {
    const hash = chosen.map((one) => one.name).join(",");
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
  }

  const tell = (text) => ($("told").textContent = text);
  const loaded = () => chosen.filter((one) => known[one.name]);
  const point = (one) =>
    known[one.name].axes.reduce((sum, axis, i) => sum * axis.values.length + one.at[i], 0);

  // The curve of an order at the chosen parameters, as arrays.
  function curve(one, which) {
    const data = known[one.name], n = data.size, index = point(one);
    const row = data.x.length > n ? index : 0;
    const start = (3 * index + which) * n;
    return [data.x.subarray(row * n, row * n + n), data.y.subarray(start, start + n)];
  }

  // The place in the grid next to an input.
  function nearest(x, wanted) {
    let best = 0;
    for (let i = 1; i < x.length; i++)
      if (Math.abs(x[i] - wanted) < Math.abs(x[best] - wanted)) best = i;
    return best;
  }

  // -- charts ----------------------------------------------------------------------------------

  const WIDTH = 360, HEIGHT = 240, LEFT = 50, BOTTOM = 26, TOP = 8, RIGHT = 8;

  function ticks(low, high) {
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high * (1 + 1e-9); k++) found.push(k * step);
    return found;
  }

  // A frame with axes; returns it and the functions that place numbers in it.
  function frame(label, [left, right], [low, high], xs, ys) {
    const across = (x) => LEFT + ((x - left) / (right - left)) * (WIDTH - LEFT - RIGHT);
    const down = (y) => HEIGHT - BOTTOM - ((y - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);
    const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
    for (const [x, name] of xs) {
      svg.append(element("line", { x1: across(x), x2: across(x), y1: TOP, y2: HEIGHT - BOTTOM, class: x ? "grid" : "zero" }));
      svg.append(element("text", { x: across(x), y: HEIGHT - 6, "text-anchor": "middle" }, name));
    }
    for (const [y, name] of ys) {
      svg.append(element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: down(y), y2: down(y), class: y ? "grid" : "zero" }));
      svg.append(element("text", { x: LEFT - 5, y: down(y) + 5, "text-anchor": "end" }, name));
    }
    return { svg, across, down };
  }

  function drawCurves() {
    const charts = ORDERS.map((title, which) => {
      const curves = loaded().map((one) => [one, ...curve(one, which)]);
      const seen = curves.flatMap(([, , y]) => [Math.max(-8, Math.min(...y)), Math.min(8, Math.max(...y))]);
      let low = Math.min(0, ...seen), high = Math.max(0, ...seen);
      if (high - low < 0.5) [low, high] = [low - 0.5, high + 0.5];
      const margin = 0.06 * (high - low), numbers = (all) => all.map((v) => [v, short(v)]);
      const { svg, across, down } = frame(
        `${title} of ${curves.map(([one]) => one.name).join(", ")} for inputs from -6 to 6`,
        [-6, 6], [low - margin, high + margin], numbers(ticks(-6, 6)), numbers(ticks(low, high)));
      const clip = `clip${which}`;
      svg.append(element("clipPath", { id: clip }, element("rect", {
        x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM })));
      const inside = element("g", { "clip-path": `url(#${clip})` });
      for (const [one, x, y] of curves) {
        let path = "";
        for (let i = 0; i < x.length; i++) {
          // Neighbours of a kink are one unit in the last place apart: what differs there, jumps.
          const jump = i && x[i] - x[i - 1] < 1e-5 && Math.abs(y[i] - y[i - 1]) > 1e-3;
          path += `${i && !jump ? "L" : "M"}${across(x[i]).toFixed(2)},${down(y[i]).toFixed(2)}`;
        }
        inside.append(element("path", { d: path, class: `curve series${one.colour}`, "data-name": one.name }));
        for (const kink of known[one.name].kinks[point(one)]) {
          const i = nearest(x, Math.fround(kink));
          inside.append(element("circle", { cx: across(x[i]), cy: down(y[i]), r: 3, class: `kink series${one.colour}` }));
        }
      }
      inside.append(element("line", { x1: across(at), x2: across(at), y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor" }));
      svg.append(inside);
      svg.addEventListener("pointermove", (event) => {
        const box = svg.getBoundingClientRect();
        const x = ((event.clientX - box.left) / box.width) * WIDTH;
        move(-6 + ((x - LEFT) / (WIDTH - LEFT - RIGHT)) * 12, across);
      });
      return element("figure", {}, element("figcaption", {}, title), svg);
    });
    $("curves").replaceChildren(...charts);
    drawTable();
  }

  // The line at an input, and the numbers there.
  function move(wanted) {
    at = Math.max(-6, Math.min(6, Math.round(wanted * 8) / 8));
    $("at").value = at;
    const place = LEFT + ((at + 6) / 12) * (WIDTH - LEFT - RIGHT);
    for (const line of document.querySelectorAll("#curves .cursor"))
      for (const end of ["x1", "x2"]) line.setAttribute(end, place);
    drawTable();
  }

  function drawTable() {
    $("at-told").textContent = short(at);
    $("numbers").replaceChildren(...loaded().map((one) => {
      const cells = [0, 1, 2].map((which) => {
        const [x, y] = curve(one, which), value = y[nearest(x, at)];
        return element("td", { "data-value": value }, short(value));
      });
      return element("tr", { "data-name": one.name }, element("th", { scope: "row" }, swatch(one), one.name), ...cells);
    }));
  }

  const swatch = (one) =>
    element("svg", { viewBox: "0 0 28 8", class: "swatch", "aria-hidden": "true" },
      element("line", { x1: 1, x2: 27, y1: 4, y2: 4, class: `curve series${one.colour}` }));

  // -- what is chosen, and its parameters ------------------------------------------------------

  function drawChosen() {
    $("chosen").replaceChildren(...loaded().map((one) => {
      const sliders = known[one.name].axes.map((axis, i) => {
        const id = `${one.name}-${axis.name}`;
        const told = element("output", { for: id }, short(axis.values[one.at[i]]));
        const slider = element("input", {
          type: "range", id, min: 0, max: axis.values.length - 1, step: 1, value: one.at[i],
          "aria-valuetext": short(axis.values[one.at[i]]),
          oninput: () => {
            one.at[i] = +slider.value;
            told.textContent = short(axis.values[one.at[i]]);
            slider.setAttribute("aria-valuetext", told.textContent);
            drawPictures();
          },
        });
        return element("div", { class: "slider" }, element("label", { for: id }, axis.name), slider, told);
      });
      return element("section", { class: "card", "aria-label": one.name },
        element("header", {}, swatch(one),
          element("a", { href: `activations/${one.name}.html` }, one.name),
          element("button", { type: "button", "aria-label": `Remove ${one.name}`, onclick: () => remove(one.name) }, "\u00d7")),
        ...sliders);
    }));
  }

  // -- a deep random net -----------------------------------------------------------------------

  function drawNets() {
    const bins = common.edges.length + 1, layers = common.layers.length;
    $("nets").replaceChildren(...loaded().map((one) => {
      const data = known[one.name];
      const kinds = data.weights.length;
      const kind = Math.max(0, weights - (3 - kinds));
      const panels = common.layers.map((layer, i) => {
        const place = (point(one) * kinds + kind) * layers + i;
        const counts = data.counts.subarray(place * bins, (place + 1) * bins);
        // Heights are square roots of counts, so that a spike does not press the rest flat. What lies
        // beyond the edges is told by the spread.
        const most = Math.max(1, ...counts.subarray(1, bins - 1));
        let path = `M0,40`;
        for (let b = 1; b < bins - 1; b++)
          path += `L${(b - 1) * 2},${40 - 36 * Math.sqrt(counts[b] / most)}h2`;
        return element("div", { class: "layer" },
          element("svg", { viewBox: `0 0 ${2 * (bins - 2)} 44`, role: "img", "aria-label": `${one.name} after layer ${layer}: spread ${short(data.spread[place])}` },
            element("line", { x1: bins - 2, x2: bins - 2, y1: 0, y2: 40, class: "zero" }),
            element("path", { d: `${path}V40Z`, class: `area series${one.colour}` })),
          element("span", {}, `layer ${layer}`),
          element("span", { class: "spread", "data-value": data.spread[place] }, `spread ${(+data.spread[place].toPrecision(2)).toString()}`));
      });
      return element("div", { class: "net", "data-name": one.name },
        element("h4", {}, swatch(one), one.name, element("small", {}, ` ${data.weights[kind]}`)),
        element("div", { class: "layers" }, ...panels));
    }));
  }

  // -- 16 bits ---------------------------------------------------------------------------------

  // Inputs by their sign and the logarithm of their size; numbers below 2^-16 are in the middle.
  const folded = (x) => Math.sign(x) * (x ? Math.log2(Math.abs(x)) + 17 : 0);

  function drawErrors() {
    const charts = loaded().map((one) => {
      const errors = known[one.name].errors;
      if (!errors) return element("p", { class: "none" }, `jax.nn has no ${one.name}.`);
      const xs = [[-81, "\u22122\u2076\u2074"], [-17, "\u22121"], [0, "0"], [17, "1"], [81, "2\u2076\u2074"]];
      const high = 4, low = -2, height = (v) => Math.log10(Math.max(10 ** low, Math.min(v, 10 ** high)));
      const { svg, across, down } = frame(
        `Worst error of ${one.name} in bfloat16 by input: ours and that of jax.nn`,
        [-146, 146], [low, high + 0.5], xs, [[-2, "\u2264 0.01"], [-1, "0.1"], [0, "1"], [1, "10"], [2, "100"], [3, "1000"], [4, "10\u2074"]]);
      svg.append(element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: down(Math.log10(0.5)), y2: down(Math.log10(0.5)), class: "bound" }));
      for (const whose of ["jax.nn", "ours"]) {
        let path = "", crosses = "";
        errors[whose][order].forEach((error, i) => {
          const a = across(folded(common.octaves[i]));
          if (error === null) crosses += `M${a - 2},${down(high + 0.3) - 2}l4,4m0,-4l-4,4`;
          path += `${i ? "L" : "M"}${a.toFixed(1)},${down(error === null ? high : height(error)).toFixed(1)}`;
        });
        svg.append(element("path", { d: path, class: `error ${whose === "ours" ? "ours" : "theirs"}`, "data-name": one.name }));
        if (crosses) svg.append(element("path", { d: crosses, class: `cross ${whose === "ours" ? "ours" : "theirs"}` }));
      }
      return element("figure", {}, element("figcaption", {}, swatch(one), one.name), svg);
    });
    $("errors").replaceChildren(...charts);
  }

  // -- the page --------------------------------------------------------------------------------

  function drawPictures() {
    drawCurves();
    drawNets();
  }

  function draw() {
    drawChosen();
    drawPictures();
    drawErrors();
    $("explore").dataset.ready = loaded().map((one) => one.name).join(",");
  }

  const options = (names) => names.map((name, i) => element("option", { value: i }, name));

  function build() {
    const choice = element("input", { id: "choice", list: "names", autocomplete: "off", spellcheck: "false", placeholder: "name, such as mish" });
    const add = (event) => {
      event.preventDefault();
      choose(choice.value.trim());
      if (!$("told").textContent) choice.value = "";
    };
    choice.addEventListener("input", (event) => {
      // A name taken from the list, not typed letter by letter.
      if (event.inputType === "insertReplacementText" || !event.inputType) add(event);
    });
    const slider = element("input", { id: "at", type: "range", min: -6, max: 6, step: 0.125, value: at, oninput: () => move(+slider.value) });
    const select = (id, names, value, then) => {
      const made = element("select", { id, onchange: () => then(+made.value) }, ...options(names));
      made.value = value;
      return made;
    };
    $("explore").replaceChildren(
      element("form", { onsubmit: add }, element("label", { for: "choice" }, "Add an activation"), choice,
        element("datalist", { id: "names" }), element("button", { type: "submit" }, "Add"),
        element("p", { id: "told", role: "status" })),
      element("div", { id: "chosen" }),
      element("div", { id: "curves", class: "charts" }),
      element("div", { class: "slider wide" }, element("label", { for: "at" }, "x"), slider, element("output", { for: "at", id: "at-told" })),
      element("div", { class: "scrolled", tabindex: 0, role: "region", "aria-label": "Numbers at x" }, element("table", { class: "numbers" },
        element("thead", {}, element("tr", {}, element("th", {}, ""), ...ORDERS.map((o) => element("th", { scope: "col" }, o)))),
        element("tbody", { id: "numbers" }))),
      element("h3", {}, "After each layer of a deep random net"),
      element("div", { class: "row" }, element("label", { for: "weights" }, "Initial weights"),
        select("weights", ["gain of the activation", "He: variance 2 / inputs", "LeCun: variance 1 / inputs"], weights, (v) => { weights = v; drawNets(); })),
      element("div", { id: "nets" }),
      element("h3", {}, "Error in bfloat16, in units of the last place"),
      element("div", { class: "row" }, element("label", { for: "order" }, "of the"),
        select("order", ORDERS.map((o) => o.toLowerCase()), order, (v) => { order = v; drawErrors(); }),
        element("span", { class: "legend" },
          element("svg", { viewBox: "0 0 28 8", class: "swatch", "aria-hidden": "true" }, element("line", { x1: 1, x2: 27, y1: 4, y2: 4, class: "error ours" })), "ours",
          element("svg", { viewBox: "0 0 28 8", class: "swatch", "aria-hidden": "true" }, element("line", { x1: 1, x2: 27, y1: 4, y2: 4, class: "error theirs" })), "jax.nn",
          element("svg", { viewBox: "0 0 28 8", class: "swatch", "aria-hidden": "true" }, element("line", { x1: 1, x2: 27, y1: 4, y2: 4, class: "bound" })), "half, the least possible")),
      element("div", { id: "errors", class: "charts" }));
    document.head.append(element("script", { src: `${FOLDER}index.js` }));
  }

  // The values of all sliders, by activation and parameter.
  const parameters = () => Object.fromEntries(loaded().map((one) => [
    one.name,
    Object.fromEntries(known[one.name].axes.map((axis, i) => [axis.name, axis.values[one.at[i]]])),
  ]));

  build();
  return { catalogue, receive, parameters };
})();
