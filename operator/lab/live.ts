import { setTimeout as sleep } from "node:timers/promises";
import type { NodeAgent } from "./agents.js";
import type { Lab } from "./lab.js";
import type { LabProcess } from "./processes.js";
import { createSampler } from "./sampler.js";
import { openScreen } from "./screen.js";
import { fullRates } from "./traffic.js";
import { plainLines, renderView } from "./view.js";

const drawIntervalMs = 500;
const plainIntervalMs = 1000;
/** Long enough to see in the view that the datapath needs no agent. */
const restartDelayMs = 3000;

/**
 * Attacks the nodes and shows what their rules do, until the signal. On a terminal the view is
 * drawn in place; elsewhere it comes as plain lines.
 *
 * @param hints lines that tell how to try things
 */
export async function showLive(
  lab: Lab,
  hints: readonly string[],
  signal: AbortSignal,
  output: NodeJS.WriteStream = process.stdout,
): Promise<void> {
  const events: string[] = [];
  const tell = (text: string) => {
    events.push(text);
  };
  for (const agent of lab.agents) void keepRunning(lab, agent, tell);
  for (const process of lab.traffic().processes) void tellEnd(lab, process, tell);
  lab.traffic().setAttack(fullRates);
  const sample = createSampler(lab.agents, lab.traffic(), lab.objects);
  const screen = output.isTTY ? openScreen(output) : undefined;
  let told = 0;
  try {
    while (!signal.aborted) {
      const now = await sample();
      if (signal.aborted) break;
      if (screen !== undefined) {
        const size = { width: screen.width(), height: screen.height() };
        screen.draw(renderView(now, { ...size, hints, events }));
      } else {
        for (const text of events.slice(told)) output.write(`${text}\n`);
        told = events.length;
        for (const line of plainLines(now)) output.write(`${line}\n`);
      }
      await sleep(screen === undefined ? plainIntervalMs : drawIntervalMs, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    screen?.close();
  }
}

async function tellEnd(lab: Lab, process: LabProcess, tell: (text: string) => void) {
  const how = await process.exited;
  if (lab.isClosing()) return;
  tell(`the ${process.name} ended (${how}) ${process.lastLines(1).join("")}`.trimEnd());
}

/** Starts an agent again when it ends, as a DaemonSet would. */
async function keepRunning(lab: Lab, agent: NodeAgent, tell: (text: string) => void) {
  const { name } = agent.node;
  for (;;) {
    const how = await agent.process().exited;
    if (lab.isClosing()) return;
    tell(`the agent of ${name} ended (${how}); its rules stay in the kernel`);
    await sleep(restartDelayMs, undefined, { ref: false });
    if (lab.isClosing()) return;
    try {
      await agent.start();
      tell(`the agent of ${name} is back`);
    } catch (error) {
      if (lab.isClosing()) return;
      tell(error instanceof Error ? error.message : String(error));
    }
  }
}
