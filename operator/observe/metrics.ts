import { Counter, Gauge, Registry } from "prom-client";
import { type Family, families, type Samples } from "./families.js";
import { type SnapshotSource, takeSnapshot } from "./snapshot.js";

export interface Metrics {
  readonly contentType: string;
  /**
   * The exposition of this moment. The engine is asked now and only now: without a scraper, metrics
   * cost nothing.
   *
   * @throws what the engine throws when its tables cannot be read
   */
  text(): Promise<string>;
}

/** Prometheus metrics of an engine and of this process. */
export function createMetrics(engine: SnapshotSource): Metrics {
  const registry = new Registry();
  const own = families.map((family) => ({ family, fill: register(family, registry) }));
  const up = new Gauge({
    name: "sluice_datapath_loaded",
    help: "1 when the programs and tables are loaded.",
    registers: [registry],
  });
  const fillProcess = registerProcess(registry);
  return {
    contentType: registry.contentType,
    async text() {
      const snapshot = takeSnapshot(engine);
      up.set(snapshot === undefined ? 0 : 1);
      for (const { family, fill } of own)
        fill(snapshot === undefined ? [] : family.samples(snapshot));
      fillProcess();
      return registry.metrics();
    },
  };
}

type Fill = (samples: Samples) => void;

function register({ name, help, type, labels }: Family, registry: Registry): Fill {
  const configuration = { name, help, labelNames: [...labels], registers: [registry] };
  if (type === "gauge") {
    const metric = new Gauge(configuration);
    return (samples) => {
      metric.reset();
      // A metric without labels comes back from a reset with the value 0.
      if (labels.length === 0) metric.remove();
      for (const [key, value] of samples) metric.set({ ...key }, value);
    };
  }
  const metric = new Counter(configuration);
  return (samples) => {
    metric.reset();
    if (labels.length === 0) metric.remove();
    for (const [key, value] of samples) metric.inc({ ...key }, value);
  };
}

/**
 * Not prom-client's own set, whose event-loop monitor would wake an idle agent 100 times a second.
 */
function registerProcess(registry: Registry): () => void {
  const memory = new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory of the agent.",
    registers: [registry],
  });
  const start = new Gauge({
    name: "process_start_time_seconds",
    help: "When the agent was started.",
    registers: [registry],
  });
  const cpu = new Counter({
    name: "process_cpu_seconds_total",
    help: "CPU time of the agent, user and system.",
    registers: [registry],
  });
  start.set(Math.round(performance.timeOrigin) / 1000);
  return () => {
    memory.set(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    cpu.reset();
    cpu.inc((user + system) / 1e6);
  };
}
