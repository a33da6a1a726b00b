import assert from "node:assert/strict";
import { describe, it } from "node:test";
import pino from "pino";
import { status as fixture } from "../../test/agent/fixture-engine.js";
import { podNetwork, podPolicies } from "../../test/agent/fixture-pods.js";
import { ManualClock } from "../../test/status/manual-clock.js";
import type { EngineStatus, PodPolicyState } from "../api/engine.js";
import { SluiceError } from "../errors.js";
import type { NodeStatus } from "./describe-node.js";
import type { Occurrence } from "./events.js";
import { NodeReporter } from "./node-reporter.js";

async function report(before?: NodeStatus | Error, state: EngineStatus | Error = fixture) {
  const clock = new ManualClock();
  const updates: NodeStatus[] = [];
  const events: Occurrence[] = [];
  const engine: { state: EngineStatus | Error; podPolicies?: readonly PodPolicyState[] } = {
    state,
  };
  const reporter = new NodeReporter({
    engine: {
      status: () => {
        if (engine.state instanceof Error) throw engine.state;
        return engine.state;
      },
      podPolicies: () => engine.podPolicies,
    },
    node: "node1",
    facts: () => ({ kernelVersion: "6.12.1", features: [] }),
    writer: {
      read: () => (before instanceof Error ? Promise.reject(before) : Promise.resolve(before)),
      update: (status) => void updates.push(status),
      close: () => {},
    },
    events: { emit: (occurrence) => void events.push(occurrence) },
    clock,
    log: pino({ level: "silent" }),
  });
  await reporter.start();
  const told = () => events.splice(0).map(({ type, reason, message }) => [type, reason, message]);
  return { clock, engine, reporter, updates, told };
}

const dark = { ...fixture.interfaces[0]!, attached: false, mode: "none" as const, message: "busy" };

describe("the reporter of a node", () => {
  it("looks every 2 s, and tells events on transitions only", async () => {
    const { clock, engine, reporter, updates, told } = await report();
    assert.equal(updates.length, 1);
    assert.deepEqual(told(), []);
    engine.state = { ...fixture, interfaces: [dark] };
    await clock.advance(10_000);
    assert.equal(updates.length, 6);
    assert.deepEqual(told(), [["Warning", "AttachFailed", "eth0: busy"]]);
    engine.state = fixture;
    await clock.advance(2000);
    assert.deepEqual(told(), [["Normal", "Attached", "eth0: attached in mode Generic"]]);
    reporter.close();
    assert.equal(clock.pending, 0);
  });

  it("tells of a refused policy, of a roll-back, of a set and of the kernel", async () => {
    const { engine, reporter, told } = await report();
    const problem = {
      severity: "error" as const,
      code: "SLUICE_FULL",
      origin: { source: "api" },
      message: "does not fit",
      remedy: "Use fewer",
    };
    const [policy] = fixture.policies;
    const policies = (changes: object) => [{ ...policy!, ...changes }];
    engine.state = { ...fixture, policies: policies({ inForce: false, problems: [problem] }) };
    reporter.look();
    assert.deepEqual(told(), [
      ["Warning", "PolicyRefused", "XdpPolicy edge generation 3: does not fit. Use fewer"],
    ]);
    engine.state = { ...fixture, policies: policies({ rolledBack: true, generationInForce: 2 }) };
    reporter.look();
    assert.deepEqual(
      told().map(([, reason]) => reason),
      ["PolicyRolledBack"],
    );
    engine.state = { ...fixture, problems: [{ ...problem, kind: "XdpCidrSet", name: "bad" }] };
    reporter.look();
    assert.deepEqual(told(), [["Warning", "ObjectRefused", "XdpCidrSet bad: does not fit"]]);
    engine.state = { ...fixture, applyError: "no memory" };
    reporter.look();
    assert.deepEqual(told(), [["Warning", "ApplyFailed", "no memory"]]);
    reporter.close();
  });

  it("does not tell again what the agent before it told", async () => {
    const first = await report(undefined, { ...fixture, interfaces: [dark] });
    first.reporter.close();
    assert.equal(first.told().length, 1);
    const second = await report(first.updates.at(-1), { ...fixture, interfaces: [dark] });
    second.reporter.close();
    assert.deepEqual(second.told(), []);
    const third = await report(first.updates.at(-1));
    third.reporter.close();
    assert.deepEqual(third.told(), [["Normal", "Attached", "eth0: attached in mode Generic"]]);
  });

  it("keeps the last report until everything has been read, for 30 s at most", async () => {
    const starting = { ...fixture, inSync: false };
    const { clock, reporter, updates } = await report(undefined, starting);
    await clock.advance(28_000);
    assert.equal(updates.length, 0);
    await clock.advance(2000);
    assert.equal(updates.length, 1);
    reporter.close();
    const quick = await report(undefined, starting);
    quick.engine.state = fixture;
    await quick.clock.advance(2000);
    quick.engine.state = starting;
    await quick.clock.advance(2000);
    assert.deepEqual(
      quick.updates.map(({ conditions }) => conditions?.[0]?.status),
      ["True", "False"],
    );
    quick.reporter.close();
  });

  it("goes on without an engine that is loaded, and without the object that was there", async () => {
    const { clock, engine, reporter, updates } = await report(new Error("no API server"));
    assert.equal(updates.length, 1);
    engine.state = new SluiceError("SLUICE_NOT_STARTED", "the datapath is not loaded yet");
    await clock.advance(4000);
    assert.equal(updates.length, 1);
    engine.state = fixture;
    await clock.advance(2000);
    assert.equal(updates.length, 2);
    reporter.close();
  });

  it("tells numbers of pods once a minute at most, what fails at once", async () => {
    const { clock, engine, reporter, updates } = await report();
    const [refused, enforcing] = podPolicies as readonly [PodPolicyState, PodPolicyState];
    const at = async (waitMs: number, ...policies: readonly PodPolicyState[]) => {
      engine.podPolicies = policies;
      await clock.advance(waitMs);
      return updates.at(-1)?.podPolicies?.entries?.map(({ name, pods }) => `${name} ${pods}`);
    };
    const withPods = (count: number) => ({
      ...enforcing,
      pods: Array.from({ length: count }, (_, index) => `web/p${index}`),
    });
    assert.deepEqual(await at(2000, withPods(1)), ["web/allow-client 1"]);
    assert.deepEqual(await at(2000, withPods(2)), ["web/allow-client 2"]);
    assert.deepEqual(await at(50_000, withPods(3)), ["web/allow-client 2"]);
    assert.deepEqual(await at(2000, withPods(3), refused), ["web/allow-client 3", "baseline 1"]);
    assert.deepEqual(await at(2000, withPods(4), refused), ["web/allow-client 3", "baseline 1"]);
    assert.deepEqual(await at(60_000, withPods(4), refused), ["web/allow-client 4", "baseline 1"]);
    reporter.close();
  });

  it("tells a pod of its lack of a network", async () => {
    const { clock, engine, reporter, told } = await report();
    const since = new Date(clock.wallMs()).toISOString();
    const [closed] = podNetwork.podProblems;
    engine.state = {
      ...fixture,
      podNetwork: { ...podNetwork, podProblems: [{ ...closed!, since }] },
    };
    await clock.advance(10_000);
    assert.deepEqual(told(), []);
    await clock.advance(10_000);
    assert.deepEqual(told(), [
      ["Warning", "NetworkClosed", "its policies are not in the kernel yet"],
    ]);
    reporter.close();
  });
});
