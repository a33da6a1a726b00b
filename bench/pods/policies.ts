import { setTimeout as sleep } from "node:timers/promises";
import { SluiceError } from "../../operator/errors.js";
import type { Cluster } from "../../test/support/cluster/cluster.js";
import type { PodAgent } from "./agent.js";
import { inParallel, podNamespace } from "./cluster.js";

const path = `/apis/networking.k8s.io/v1/namespaces/${podNamespace}/networkpolicies`;
const patienceMs = 60_000;
const firstPort = 20_000;

/** Labels of the pods that all policies select. */
export const labelsOf = {
  client: { side: "client" },
  server: { side: "server" },
} as const;

/** The one that lets the measured traffic in. */
export const allowIn = {
  path: `${path}/allow-in`,
  /** @param isAllowed false: only what no pod is */
  spec: (isAllowed: boolean) => ({
    podSelector: { matchLabels: labelsOf.server },
    policyTypes: ["Ingress"],
    ingress: [{ from: [{ podSelector: isAllowed ? {} : { matchLabels: { side: "nobody" } } }] }],
  }),
} as const;

const allowOut = {
  podSelector: { matchLabels: labelsOf.client },
  policyTypes: ["Egress"],
  egress: [{ to: [{ podSelector: {} }] }],
};

/** Every other one isolates the servers, the rest the clients, each with a CIDR and a port of its own. */
function policyOf(index: number): object {
  const cidr = `172.${16 + (index >> 8)}.${index & 255}.0/24`;
  const ports = [{ protocol: "TCP", port: firstPort + index }];
  const peers = [{ ipBlock: { cidr } }];
  return index % 2 === 0
    ? {
        podSelector: { matchLabels: labelsOf.server },
        policyTypes: ["Ingress"],
        ingress: [{ from: peers, ports }],
      }
    : {
        podSelector: { matchLabels: labelsOf.client },
        policyTypes: ["Egress"],
        egress: [{ to: peers, ports }],
      };
}

/** How many of so many are the servers': `allow-in` and every other one. */
function ofServers(count: number): number {
  return Math.ceil(count / 2);
}

/**
 * Raises the number of policies, which all select the measured pods, and waits until the agents have them in force: that
 * of the first node all, that of the other those of servers.
 */
export async function raisePolicies(
  cluster: Cluster,
  agents: readonly [PodAgent, PodAgent],
  from: number,
  to: number,
): Promise<void> {
  const allowing: readonly (readonly [string, object])[] =
    from > 0 || to === 0
      ? []
      : [
          ["allow-in", allowIn.spec(true)],
          ["allow-out", allowOut],
        ];
  const more = Array.from({ length: to - from - allowing.length }, (_, index) => {
    return [`p-${from + index}`, policyOf(from + index)] as const;
  });
  await inParallel([...allowing, ...more], async ([name, spec]) => {
    await cluster.request({ method: "POST", path, body: { metadata: { name }, spec } });
  });
  const wanted = [to, ofServers(to)];
  for (const [at, { api }] of agents.entries()) {
    for (const end = performance.now() + patienceMs; ; await sleep(50)) {
      const rules = await api.call("podRules");
      const policies = new Set(rules.map(({ policy }) => policy));
      const found = [...policies].filter((name) => name.startsWith("NetworkPolicy ")).length;
      if (found === wanted[at]) break;
      if (performance.now() < end) continue;
      const problem = `${found} of ${wanted[at]} policies are in force`;
      throw new SluiceError("SLUICE_BENCH", problem, { remedy: "Read what the agent said above" });
    }
  }
}
