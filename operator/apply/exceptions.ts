import { fileURLToPath } from "node:url";
import type pino from "pino";
import { u32, u64 } from "../../datapath/codec.js";
import { Exception, ExceptionScope } from "../../datapath/generated/layout.js";
import {
  attachRawTracepoint,
  BpfMap,
  BpfObject,
  type Link,
  PerCpuMap,
  sumCounters,
} from "../../datapath/index.js";
import type { ExceptionCounts } from "../api/engine.js";
import { SluiceError } from "../errors.js";
import type { Datapath } from "./datapath.js";

const OBJECT = fileURLToPath(new URL("../../bpf/exceptions.o", import.meta.url));

const TRACEPOINTS = {
  on_exception: "xdp_exception",
  on_redirect_error: "xdp_redirect_err",
  on_cpumap_enqueue: "xdp_cpumap_enqueue",
} as const;

export interface ExceptionCounter {
  counts(): ExceptionCounts;
  close(): void;
}

/**
 * Counts what goes wrong behind the uplink's verdicts. The firewall works without it: where the kernel refuses tracing,
 * the counts are missing and the log says why.
 */
export async function countExceptions(
  datapath: Datapath,
  log: pino.Logger,
): Promise<ExceptionCounter | undefined> {
  const links: Link[] = [];
  const object = BpfObject.open(OBJECT);
  try {
    await object.load();
    const scope = new BpfMap(object.takeMap("exception_scope"), u32, ExceptionScope);
    scope.update(0, {
      programId: datapath.uplink.info().id,
      cpuMapId: datapath.cpus.info.id,
    });
    scope.close();
    for (const [program, tracepoint] of Object.entries(TRACEPOINTS)) {
      const taken = object.takeProgram(program);
      links.push(attachRawTracepoint(taken, tracepoint));
      taken.close();
    }
    const counters = new PerCpuMap(object.takeMap("exception_counters"), u32, u64);
    return {
      counts() {
        const sums = sumCounters(counters);
        return {
          action: Number(sums[Exception.EXCEPTION_ACTION] ?? 0n),
          redirect: Number(sums[Exception.EXCEPTION_REDIRECT] ?? 0n),
          cpuQueueFull: Number(sums[Exception.EXCEPTION_CPU_QUEUE_FULL] ?? 0n),
        };
      },
      close() {
        counters.close();
        for (const link of links) link.close();
      },
    };
  } catch (error) {
    for (const link of links) link.close();
    if (!(error instanceof SluiceError)) throw error;
    log.warn({ code: error.code }, `exceptions are not counted: ${error.message}`);
    return undefined;
  } finally {
    object.close();
  }
}
