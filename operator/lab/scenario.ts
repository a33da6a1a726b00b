import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { NodeAgent } from "./agents.js";
import {
  type Check,
  checkEdit,
  checkPodEdit,
  checkPods,
  checkRequests,
  checkRestart,
  checkScan,
  checkSynFlood,
  checkTrial,
  checkUdpFlood,
  trialRule,
} from "./checks.js";
import type { Lab } from "./lab.js";
import { takeSettledSnapshot, takeSnapshot } from "./measure.js";
import { fullRates, noAttack } from "./traffic.js";

/** File of the examples whose policy is on trial, and the edit that puts it in force. */
const trialFile = "30-candidate.yaml";
const trialEdit = { from: "mode: Audit", to: "mode: Enforce" } as const;

const attackMs = 4000;
/** File of the examples that says who may reach the web pods, and the edit that shuts its pods out. */
const podFile = "60-shop.yaml";
const podEdit = { from: "app: cart", to: "app: till" } as const;
/** What the agents promise for an edited file. */
const editDeadlineMs = 1000;
const giveUpMs = 3000;
const absenceMs = 1000;

/**
 * Runs the whole scenario on the example policies, about 20 s.
 *
 * @param say gets a line when a part begins
 */
export async function runScenario(
  lab: Lab,
  say: (text: string) => void,
): Promise<readonly Check[]> {
  const atStart = await takeSettledSnapshot(lab);

  say("attacking: UDP flood, SYN flood, port scan …");
  lab.traffic().setAttack(fullRates);
  const startedAt = performance.now();
  await sleep(attackMs);
  lab.traffic().setAttack(noAttack);
  const afterAttack = await takeSettledSnapshot(lab);
  const seconds = (performance.now() - startedAt) / 1000;

  say(`attacking again, and editing ${trialFile}: ${trialEdit.from} becomes ${trialEdit.to} …`);
  lab.traffic().setAttack(fullRates);
  await sleep(500);
  const editedAt = performance.now();
  editFile(`${lab.manifests}/${trialFile}`, trialEdit);
  await Promise.all(lab.agents.map((agent) => untilInForce(agent, editedAt + giveUpMs)));
  const tookMs = performance.now() - editedAt;
  // Counters are read one after the other, while packets come in.
  await sleep(50);
  const afterEdit = await takeSnapshot(lab);
  await sleep(700);
  const laterOn = await takeSnapshot(lab);
  lab.traffic().setAttack(noAttack);

  const beforeKill = await takeSettledSnapshot(lab);
  const victim = lab.agents[1] as NodeAgent;
  say(`attacking again, and killing the agent of ${victim.node.name} with SIGKILL …`);
  lab.traffic().setAttack(fullRates);
  await sleep(500);
  victim.process().kill("SIGKILL");
  await victim.process().exited;
  await sleep(absenceMs);
  await victim.start();
  await sleep(500);
  lab.traffic().setAttack(noAttack);
  const atEnd = await takeSettledSnapshot(lab);

  say(`editing ${podFile}: ${podEdit.from} becomes ${podEdit.to} …`);
  editFile(`${lab.manifests}/${podFile}`, podEdit);
  await sleep(editDeadlineMs);
  const afterPodEdit = await takeSnapshot(lab);
  await sleep(500);
  const podsLater = await takeSnapshot(lab);

  return [
    checkRequests(atStart, atEnd),
    checkScan(atStart, afterAttack),
    checkUdpFlood(atStart, afterAttack, seconds),
    checkSynFlood(atStart, afterAttack, seconds),
    checkTrial(atStart, afterAttack),
    checkEdit(afterEdit, laterOn, { tookMs, deadlineMs: editDeadlineMs }),
    ...checkRestart(beforeKill, atEnd),
    ...checkPods(atStart, atEnd),
    checkPodEdit(afterPodEdit, podsLater),
  ];
}

/** Waits until the policy on trial is in force on a node, or the time has come. */
async function untilInForce({ client }: NodeAgent, deadline: number): Promise<void> {
  while (performance.now() < deadline) {
    const states = await client.call("rules");
    const trial = states.find(({ policy, rule }) => `${policy}/${rule}` === trialRule);
    if (trial?.mode === "Enforce") return;
    await sleep(20);
  }
}

/** As an editor saves: the new file takes the place of the old one. */
function editFile(
  path: string,
  { from, to }: { readonly from: string; readonly to: string },
): void {
  const text = readFileSync(path, "utf8");
  if (!text.includes(from)) throw new Error(`${path} does not say "${from}"`);
  writeFileSync(`${path}~`, text.replace(from, to));
  renameSync(`${path}~`, path);
}
