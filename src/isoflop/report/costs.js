"use strict";

// What a target costs. The page holds, for each curve at each target of a scale, logarithms of the compute and
// of what that compute takes; from them follow all amounts, by the arithmetic of isoflop forecast
// (plan/amount.py, plan/costing.py, table/pricing.py; on several GPUs and of own hardware plan/firm_case.py). `costs` is free of the page; cost_dials.js shows what it
// returns.
const costs = (() => {
  const PARTS = ["device_seconds", "energy_joules", "forward", "parameters", "examples"];
  const LARGEST_LOG10 = 300, SECONDS_PER_HOUR = 3600, JOULES_PER_KWH = 3.6e6, HOURS_PER_YEAR = 8760, DAYS = 365, UNKNOWN = "–";
  const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

  // Numbers as people read them (report/text/numerals.py).
  const raised = (power) => String(power).replace(/./g, (digit) => SUPERSCRIPT[digit]);
  const fixed = (value, decimals) => {
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    return value.toLocaleString("en-US", digits);
  };
  function number(value, digits = 3) {
    if (value === null) return UNKNOWN;
    if (value === 0) return "0";
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const exponent = Number(power);
    if (exponent <= -4 || exponent >= 6) return `${mantissa} × 10${raised(exponent)}`;
    return fixed(Number(value.toPrecision(digits)), Math.max(0, digits - 1 - exponent));
  }
  function seconds(value) {
    if (value < 120) return `${number(value)} s`;
    return value < 7200 ? `${number(value / 60)} min` : `${number(value / 3600)} h`;
  }
  const duration = (value) => (value < 2 * 86400 ? seconds(value) : `${number(value / 86400)} days`);
  // `steps`: [least value in a unit, its size, its name], ascending.
  function inUnit(value, steps) {
    const rounded = Number(value.toPrecision(3));
    const [, size, name] = steps.findLast((step) => rounded >= step[0]) ?? steps[0];
    return `${number(value / size)} ${name}`;
  }
  function gflops(value, units) {
    if (value < 1e18) return inUnit(value, units.gflops);
    const exponent = Math.floor(Math.log10(value)) + 9;
    return `${number(value / 10 ** (exponent - 9))} × 10${raised(exponent)} FLOPs`;
  }
  function interval(amount, show) {
    if (amount.low === amount.value && amount.high === amount.value) return "";
    if (amount.low === null && amount.high === null) return "unbounded";
    if (amount.high === null) return `above ${show(amount.low)}`;
    if (amount.low === null) return `below ${show(amount.high)}`;
    return `${show(amount.low)} to ${show(amount.high)}`;
  }

  // One curve at one target: its compute, and what that takes; or why it is not reached.
  function decoded(packed, data) {
    const real = (whole) => (whole === null ? null : whole / 10 ** data.decimals);
    const plus = (first, other) => (other === null ? null : first + other);
    if (packed.length === 2) return { reason: data.reasons[packed[0]], above: real(packed[1]) };
    const [at, low, high, ...parts] = packed;
    const point = { span: [at, plus(at, low), plus(at, high)].map(real) };
    PARTS.forEach((name, i) => {
      const part = parts[i];
      point[name] = part && part.map((each, j) => real(j ? plus(part[0], each) : each));
    });
    return point;
  }

  // The same between two targets of the scale: logarithms are interpolated.
  function between(easier, harder, share, texts) {
    if (easier.reason || harder.reason) {
      if (easier.reason) return easier;
      return { reason: `reached at ${texts[0]}, not at ${texts[1]}: ${harder.reason}`, above: easier.span[0] };
    }
    const mixed = (a, b) => (a === null || b === null ? null : a + share * (b - a));
    const point = { span: easier.span.map((each, i) => mixed(each, harder.span[i])) };
    for (const name of PARTS) {
      point[name] = easier[name] && harder[name] && easier[name].map((a, i) => mixed(a, harder[name][i]));
    }
    return point;
  }

  // Where a target lies on the scale, which falls: the next easier one, and how far it is to the harder.
  function located(target, targets) {
    const kept = Math.min(Math.max(target, targets[targets.length - 1]), targets[0]);
    const exact = targets.findIndex((each) => Math.abs(each / kept - 1) < 1e-9);
    if (exact >= 0) return { index: exact, share: 0, target: targets[exact] };
    const index = targets.findIndex((each) => each < kept) - 1;
    const share = Math.log(targets[index] / kept) / Math.log(targets[index] / targets[index + 1]);
    return { index, share, target: kept };
  }

  // Amounts at five places: [at the compute, the ends of its own interval there, at the ends of the compute's].
  const none = [null, null, null, null, null];
  const powers = (part) => (part ? part.map((log) => (log === null ? null : 10 ** log)) : none);
  const times = (places, factor) => places.map((each) => (each === null ? null : each * factor));
  const product = (a, b) => a.map((each, i) => (each === null || b[i] === null ? null : each * b[i]));
  const quotient = (a, b) => a.map((each, i) => (each === null || !b[i] ? null : each / b[i]));
  const sum = (all) => none.map((_, i) => (all.some((each) => each[i] === null) ? null : all.reduce((t, each) => t + each[i], 0)));

  // The half-widths to each side, of the amount itself and from the compute, joined as the root of squares.
  function joined([value, low, high, atLow, atHigh]) {
    if (value === null) return { value: null, low: null, high: null };
    let moved = [atLow, atHigh];
    if (atLow !== null && atHigh !== null) moved = moved.sort((a, b) => a - b);
    const end = (own, there, side) => {
      if (own === null || there === null || own <= 0 || there <= 0) return null;
      const width = Math.hypot(Math.log10(own / value), Math.log10(there / value));
      return Math.log10(value) + width > LARGEST_LOG10 ? null : value * 10 ** (side * width);
    };
    return { value, low: end(low, moved[0], -1), high: end(high, moved[1], 1) };
  }

  // The factors that apply: of an hour of a GPU, or else of energy or FLOPs as --cost gives them.
  function priced(factors, settings) {
    const { dollars_per_gpu_hour: hour = null, grams_co2_per_kwh: grid = null } = settings;
    const inHour = hour !== null && factors.dollars_per_gpu_hour === undefined;
    return {
      hour,
      grid,
      pue: settings.pue ?? 1,
      electricity: inHour ? null : (factors.dollars_per_kwh ?? null),
      flopDollars: hour === null ? (factors.dollars_per_train_gflop ?? null) : null,
      flopGrams: grid === null ? (factors.grams_co2_per_train_gflop ?? null) : null,
    };
  }

  // How many GPUs train, at which efficiency: 1 on one GPU by definition, and an upper bound where none is given.
  function devices(settings) {
    const gpus = settings.gpus ?? 1;
    return { gpus, efficiency: gpus === 1 ? 1 : (settings.efficiency ?? 1) };
  }

  // Own hardware: an hour's share of the purchase, null without years or use; null without a purchase.
  function bought(settings) {
    const { dollars_per_gpu_bought: dollars = null, amortised_years: years = null, utilisation: use = null } = settings;
    if (dollars === null) return null;
    return {
      dollars,
      years,
      hour: years === null || use === null ? null : dollars / (years * HOURS_PER_YEAR * use),
      electricity: settings.own_dollars_per_kwh ?? null,
    };
  }

  // What hours, energy and compute cost: rented, and bought.
  function spent(used, compute, price, own) {
    const hours = times(used.device_seconds, 1 / SECONDS_PER_HOUR);
    const kwh = times(used.energy_joules, price.pue / JOULES_PER_KWH);
    const total = (terms) => {
      const applied = terms.filter(([, factor]) => factor !== null);
      return applied.length ? sum(applied.map(([places, factor]) => times(places, factor))) : none;
    };
    const isOwn = own !== null && own.hour !== null && own.electricity !== null;
    return {
      hours,
      kwh,
      dollars: total([[hours, price.hour], [kwh, price.electricity], [compute, price.flopDollars]]),
      grams: total([[kwh, price.grid], [compute, price.flopGrams]]),
      own_dollars: isOwn ? total([[hours, own.hour], [kwh, own.electricity]]) : none,
    };
  }

  // The hours a year of each GPU past which own hardware is cheaper: (purchase / years) / (rent - electricity of
  // an hour) at the mean power of training; infinite where electricity alone costs the rent.
  function breakEvenHours(onOne, price, own) {
    const [hours] = onOne.hours, [rent] = onOne.dollars, [kwh] = onOne.kwh;
    // Electricity alone is no rent: it is paid for either way.
    if (!own || (price.hour === null && price.flopDollars === null)) return null;
    if (own.years === null || own.electricity === null || !hours || rent === null || kwh === null) return null;
    const saved = (rent - kwh * own.electricity) / hours;
    return saved > 0 ? own.dollars / own.years / saved : Infinity;
  }

  // All amounts of a point. `settings`: the dials' numbers by their keys, null where one is empty.
  function amounts(point, data, settings) {
    const [at, low, high] = point.span;
    const compute = powers([at, at, at, low, high].map((log) => (log === null || log > LARGEST_LOG10 ? null : log)));
    const used = Object.fromEntries(PARTS.map((name) => [name, powers(point[name])]));
    const price = priced(data.factors, settings);
    const { gpus, efficiency } = devices(settings);
    const own = bought(settings);
    // The GPUs' hours and, at the power of training, their energy grow as they wait for each other.
    const [device_seconds, energy_joules] = [used.device_seconds, used.energy_joules].map((each) => times(each, 1 / efficiency));
    const onOne = spent(used, compute, price, own);
    const all = spent({ device_seconds, energy_joules }, compute, price, own);
    const made = {
      compute: { value: compute[0], low: compute[3], high: compute[4] },
      times: at - data.largest / 10 ** data.decimals,
      parameters: joined(used.parameters),
      examples: joined(used.examples),
      device_seconds: joined(device_seconds),
      gpu_seconds: joined(gpus > 1 ? times(device_seconds, 1 / gpus) : none),
      energy_joules: joined(energy_joules),
      grams: joined(all.grams),
      dollars: joined(all.dollars),
      own_dollars: joined(all.own_dollars),
      purchase_dollars: own && gpus * own.dollars,
      break_even_hours: breakEvenHours(onOne, price, own),
      query: joined(used.forward),
    };
    const queries = settings.queries_per_day;
    if (!queries) return made;
    // A year's queries take the share of a training's joules that their FLOPs are of its FLOPs, on one GPU.
    const [query, , , queryLow, queryHigh] = used.forward;
    const share = times(quotient([query, query, query, queryLow, queryHigh], compute), queries * DAYS);
    const [one, least, most, ...moved] = used.forward;
    return {
      ...made,
      year: joined(times(used.forward, queries * DAYS)),
      yearJoules: joined(product(used.energy_joules, share)),
      yearGrams: joined(product(onOne.grams, share)),
      yearDollars: joined(product(onOne.dollars, share)),
      yearOwnDollars: joined(product(onOne.own_dollars, share)),
      days: joined(times(quotient(compute, [one, most, least, ...moved]), 1 / queries)),
    };
  }

  // What a purchase comes to, beside its share: what must be bought, and when that is cheaper than rent.
  function purchased(made, gpus, show) {
    if (made.purchase_dollars === null) return [];
    const hours = made.break_even_hours;
    const share = made.own_dollars.value === null ? [["Own share", UNKNOWN, "needs years, use, a price of electricity, and energy"]] : [];
    const past = () => {
      if (hours === null) return [UNKNOWN, "needs years, prices of a GPU-hour and of electricity, and energy"];
      if (hours === Infinity) return ["never", "electricity alone costs the rent"];
      if (hours > HOURS_PER_YEAR) return ["never", `it would take ${number(hours)} h a year of each GPU, and a year has 8,760`];
      return [`${number(hours)} h a year of each GPU`, `${number((100 * hours) / HOURS_PER_YEAR, 2)}% of the year`];
    };
    return [...share, ["To buy", show(made.purchase_dollars), `${gpus} ${gpus === 1 ? "GPU" : "GPUs"}`], ["Own is cheaper past", ...past()]];
  }

  // What the page shows: texts alone. `target` is in the unit of the fit.
  function shown(data, settings, target) {
    const place = located(target, data.targets);
    const text = (y) => {
      const value = String(Number((data.scale * y).toPrecision(4)));
      return data.unit === "%" ? `${value}%` : `${value} ${data.unit}`.trim();
    };
    const texts = [place.index, place.index + 1].map((i) => text(data.targets[i] ?? place.target));
    const rows = data.curves.map((curve) => {
      const point = decoded(curve.points[place.index], data);
      const exact = place.share === 0;
      const next = exact ? point : decoded(curve.points[place.index + 1], data);
      const at = exact ? point : between(point, next, place.share, texts);
      return { ...curve, at, made: at.reason === undefined ? amounts(at, data, settings) : null };
    });
    const flops = (value) => gflops(value, data.units);
    const show = {
      device_seconds: seconds,
      gpu_seconds: duration,
      energy_joules: (value) => inUnit(value, data.units.joules),
      grams: (value) => inUnit(value, data.units.grams),
      dollars: (value) => inUnit(value, data.units.dollars),
      own_dollars: (value) => inUnit(value, data.units.dollars),
    };
    const cell = (amount, how) => (amount.value === null ? [UNKNOWN, ""] : [how(amount.value), interval(amount, how)]);
    const computed = (row) => {
      if (row.made.compute.value !== null) return cell(row.made.compute, flops);
      return [`10${raised(Math.round(row.at.span[0] + 9))} FLOPs`, ""];
    };
    const ratio = (row) => [row.made.times < LARGEST_LOG10 ? number(10 ** row.made.times) : UNKNOWN, ""];
    const { gpus } = devices(settings);
    const titles = {
      device_seconds: "Device time",
      gpu_seconds: `Time on ${gpus} GPUs`,
      energy_joules: "Energy",
      grams: "CO₂",
      dollars: "Price",
      own_dollars: "Own share",
    };
    const known = Object.keys(titles).filter((name) => rows.some((row) => row.made && row.made[name].value !== null));
    // A column for time: the GPUs' hours added up stand in the table of training.
    const columns = known.filter((name) => gpus === 1 || name !== "device_seconds");
    const laws = rows.map((row) => ({
      law: row.name,
      cells: row.made
        ? [computed(row), ratio(row), ...columns.map((name) => cell(row.made[name], show[name]))]
        : [[`not reached: ${row.at.reason}`, row.at.above === null ? "" : `if at all, above ${flops(10 ** row.at.above)}`]],
    }));
    const main = data.average ? rows[0] : rows.find((row) => row.made && !row.rejected);
    const training = [], own = [], answers = [];
    if (main && main.made) {
      const made = main.made;
      training.push(["Compute", ...computed(main)], ["× largest run", ...ratio(main)]);
      training.push(["Parameters", ...cell(made.parameters, number)], ["Examples", ...cell(made.examples, number)]);
      for (const name of known) training.push([titles[name], ...cell(made[name], show[name])]);
      own.push(...purchased(made, gpus, show.dollars));
      answers.push(["A query", ...cell(made.query, flops)]);
      if (made.year) {
        answers.push(["A year of queries", ...cell(made.year, flops)]);
        const years = [["yearJoules", "energy_joules", "Energy a year"], ["yearGrams", "grams", "CO₂ a year"], ["yearDollars", "dollars", "Price a year"], ["yearOwnDollars", "own_dollars", "Own share a year"]];
        for (const [name, of, title] of years) {
          if (known.includes(of)) answers.push([title, ...cell(made[name], show[of])]);
        }
        answers.push(["As much as the training after", ...cell(made.days, (days) => `${number(days)} days`)]);
      }
    }
    return {
      target: place.target,
      text: text(place.target),
      index: place.index + Math.round(place.share),
      warnings: warned(data, place, texts),
      columns: ["By", `Training compute (${data.percent})`, "× largest run", ...columns.map((name) => titles[name])],
      laws,
      differ: differing(data, rows),
      main: main === rows[0] && data.average ? main.name.toLowerCase() : (main?.law ?? ""),
      gpus,
      timed: titles[gpus > 1 ? "gpu_seconds" : "device_seconds"],
      training: [...training.filter((row) => row[1] !== UNKNOWN), ...own],
      answers: answers.filter((row) => row[1] !== UNKNOWN),
    };
  }

  function warned(data, place, texts) {
    const of = (index) => data.warned[index].map((i) => data.warnings[i]);
    if (place.share === 0) return of(place.index);
    return of(place.index + 1).map((line) => `Between ${texts[0]} and ${texts[1]}, of the latter: ${line}`);
  }

  // How many laws reach a target, and by how many orders of magnitude they differ; the average is none of them.
  function differing(data, rows) {
    const laws = data.average ? rows.slice(1) : rows;
    const reached = laws.filter((row) => row.made).sort((a, b) => a.at.span[0] - b.at.span[0]);
    const said = `${reached.length} of ${laws.length} ${laws.length === 1 ? "law" : "laws"} reach it`;
    if (reached.length < 2) return `${said}.`;
    const [first, last] = [reached[0], reached[reached.length - 1]];
    const orders = number(last.at.span[0] - first.at.span[0], 2);
    return `${said}: ${orders} orders of magnitude from ${first.law} to ${last.law}.`;
  }

  return { decoded, amounts, shown, number };
})();
