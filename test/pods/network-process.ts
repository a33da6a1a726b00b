/** The pods' network of an agent, in the network namespace of this process. Argument: {@link NetworkSettings} as JSON. */

import pino from "pino";
import { testRun } from "../../datapath/index.js";
import type { PodProgramsState } from "../../operator/api/engine.js";
import { openPodDatapath } from "../../operator/apply/pod-datapath.js";
import type { PodLink } from "../../operator/apply/pod-link.js";
import { openPodNetwork, type PodNetwork } from "../../operator/apply/pod-network.js";
import { GATEWAY_MAC } from "./harness.js";

export interface NetworkSettings {
  readonly pinRoot: string;
  readonly nodeName: string;
  /** Default: pods stay on their filters. */
  readonly quietMs?: number;
}

/** What is asked of the process; it answers each call by one message. */
export type NetworkCall =
  | { readonly call: "submit"; readonly events: readonly Parameters<PodNetwork["submit"]>[0][] }
  | { readonly call: "attach"; readonly link: PodLink }
  /** What is not as it was made. */
  | { readonly call: "check"; readonly link: PodLink }
  | { readonly call: "state" }
  /** Test runs of pod_in: what the programs return. */
  | { readonly call: "receive"; readonly index: number; readonly frames: readonly Buffer[] };

export interface NetworkState {
  readonly applications: number;
  readonly policies: number;
  readonly rules: number;
  readonly programs: PodProgramsState;
  readonly applyError: string | undefined;
  readonly problems: readonly string[];
}

async function serve({ pinRoot, nodeName, quietMs = 1e9 }: NetworkSettings): Promise<void> {
  let applications = 0;
  const network = await openPodNetwork(
    {
      pinRoot,
      nodeName,
      gatewayMac: GATEWAY_MAC,
      uplinks: [],
      eventsPerSecond: 0,
      quietMs,
      onApplied: () => applications++,
      onEvent: () => undefined,
    },
    pino({ level: "silent" }),
  );
  /* The same tables once more, for test runs. */
  const datapath = await openPodDatapath({ pinRoot, addressLines: 131_072, flows: 131_072 });
  const answer = async (asked: NetworkCall): Promise<unknown> => {
    switch (asked.call) {
      case "submit":
        for (const event of asked.events) network.submit(event);
        return undefined;
      case "attach":
        await network.attach(asked.link);
        return undefined;
      case "check":
        return network.check(asked.link);
      case "state": {
        const { policies, rules, programs, applyError } = network.state();
        const problems = network.problems().map(({ message }) => message);
        return {
          applications,
          policies,
          rules,
          programs,
          applyError,
          problems,
        } satisfies NetworkState;
      }
      case "receive": {
        const contextBytes = Buffer.alloc(192);
        /* Of struct __sk_buff: it came in by an interface, the loopback. */
        contextBytes.writeUInt32LE(1, 36);
        contextBytes.writeUInt32LE(asked.index, 40);
        return asked.frames.map((frame) => {
          const { verdict } = testRun(datapath.podIn, { packet: frame, contextBytes });
          datapath.flows.deleteAll([...datapath.flows.keys()]);
          return verdict;
        });
      }
    }
  };
  process.on("message", (asked: NetworkCall) => {
    void answer(asked).then(
      (value) => process.send?.({ value }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.send?.("ready");
}

await serve(JSON.parse(process.argv[2] ?? "{}") as NetworkSettings);
