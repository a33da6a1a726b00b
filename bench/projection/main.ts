/** What records of the cluster's objects cost, beside the objects themselves: docs/bench.md, "Projection". */
import { runPart } from "../part.js";
import { formatNumber, type PartResult, type Section, type Target } from "../result.js";
import { measureProjection, measureTogether, type ProjectionFigures } from "./measure.js";
import { populations } from "./objects.js";

const fullServices = 10_000;
const quickServices = 1000;
const mostKiB = 0.5;

await runPart((options, progress): Promise<PartResult> => {
  if (!"projection records".includes(options.only)) {
    return Promise.resolve({ sections: [], targets: [] });
  }
  const all = populations(options.quick ? quickServices : fullServices);
  const figures = all.map((population) => {
    progress(population.what);
    return measureProjection(population);
  });
  progress("all together");
  const together = measureTogether(all);
  const count = all.reduce((sum, population) => sum + population.count, 0);
  return Promise.resolve({
    sections: [section(figures, together, count)],
    targets: [target(together / count)],
  });
});

function section(
  figures: readonly ProjectionFigures[],
  togetherBytes: number,
  count: number,
): Section {
  return {
    title: "Projection",
    columns: ["object", "count", "JSON, B", "parsed, B", "record, B", "parse, µs", "project, µs"],
    rows: figures.map((figure) => [
      figure.what,
      figure.count.toLocaleString("en-US"),
      formatNumber(figure.jsonBytes),
      formatNumber(figure.rawBytes),
      formatNumber(figure.recordBytes),
      formatNumber(figure.parseUs),
      formatNumber(figure.projectUs),
    ]),
    notes: [
      `All ${count.toLocaleString("en-US")} records together retain ${formatNumber(togetherBytes / 2 ** 20)} MiB.`,
    ],
  };
}

function target(meanBytes: number): Target {
  const meanKiB = meanBytes / 1024;
  return {
    what: "memory of a record, mean over a cluster",
    goal: `≤ ${mostKiB} KiB`,
    measured: `${formatNumber(meanKiB)} KiB`,
    isReached: meanKiB <= mostKiB,
  };
}
