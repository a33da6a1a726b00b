import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { AgentStatus } from "../../operator/api/requests.js";
import { startApiServer } from "../../operator/api/server.js";
import type { PodReports, PolicyState, RuleState, SetState } from "../../operator/api/engine.js";
import {
  createFixtureEngine,
  event,
  type FixtureEngine,
  rules,
  sets as fixtureSets,
  status,
} from "../agent/fixture-engine.js";
import { type CliRun, type CliRunOptions, runSluicectl } from "../agent/run-cli.js";
import { createNamespace } from "../kubernetes/pods.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { writeKubeconfig } from "../support/cluster/kubectl.js";
import { type Kubelet, startKubelet } from "../support/kubelet.js";

const cliScript = fileURLToPath(new URL("../../operator/cli/main.js", import.meta.url));
const namespace = "sluice-system";
const nodes = ["node1", "node2", "node3"] as const;

let cluster: Cluster;
let kubelet: Kubelet;
let engines: ReadonlyMap<string, FixtureEngine>;
/** Of a user who may list pods and exec in the namespace of the agents, and nothing else. */
let operatorConfig: string;
const podOf = (node: string) => `sluice-agent-${node}`;

/** What each engine answers now; tests change it. */
const statuses = new Map<string, () => Partial<typeof status>>();
const rulesOf = new Map<string, readonly RuleState[]>();
const setsOf = new Map<string, () => readonly SetState[]>();
/** How often each engine was asked for its sets. */
const askedSets = new Map<string, number>();
const asked = (node: string) => askedSets.get(node) ?? 0;

before(async () => {
  cluster = await startCluster();
  await cluster.installCrds();
  kubelet = await startKubelet({
    ...cluster.certificates.serving,
    command({ pod, command }) {
      const node = /^sluice-agent-(node\d)$/.exec(pod)?.[1];
      const [program, script, ...words] = command;
      // The image's own paths, which this machine does not have.
      if (node === undefined || program !== "node") return undefined;
      if (script !== "/opt/sluice/dist/operator/cli/main.js") return undefined;
      const env = { PATH: process.env["PATH"], SLUICE_SOCKET: socketOf(node) };
      return { program: process.execPath, args: [cliScript, ...words], env };
    },
  });
  cluster.onClose(() => kubelet.close());
  const made = new Map<string, FixtureEngine>();
  for (const node of nodes) {
    await cluster.createNode(node, { addresses: ["127.0.0.1"], kubeletPort: kubelet.port });
    await cluster.agentAccount(node, { namespace });
    await setPhase(node, "Running");
    const engine = createFixtureEngine({
      status: () => ({ ...status, node, ...statuses.get(node)?.() }),
      rules: () => rulesOf.get(node) ?? rules,
      sets: () => {
        askedSets.set(node, asked(node) + 1);
        return setsOf.get(node)?.() ?? fixtureSets;
      },
    });
    made.set(node, engine);
    const server = await serveAgent(node, engine);
    cluster.onClose(() => server.close());
  }
  engines = made;
  operatorConfig = await createUser("operator", namespace, [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] },
    { apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"] },
  ]);
});
after(() => cluster?.close());
afterEach(() => {
  statuses.clear();
  rulesOf.clear();
  setsOf.clear();
});

const socketOf = (node: string) => join(cluster.folder, `${node}.sock`);

function serveAgent(node: string, engine: FixtureEngine) {
  return startApiServer({
    engine,
    socketPath: socketOf(node),
    log: { debug: () => {}, error: () => {} },
    logLevel: { get: () => "info", set: () => {} },
  });
}

async function setPhase(node: string, phase: string): Promise<void> {
  await cluster.request({
    method: "PATCH",
    path: `/api/v1/namespaces/${namespace}/pods/${podOf(node)}/status`,
    contentType: "application/merge-patch+json",
    body: { status: { phase } },
  });
}

/** @returns the path of a kubeconfig */
async function createUser(
  name: string,
  within: string,
  roleRules: readonly object[],
): Promise<string> {
  const subject = { kind: "ServiceAccount", name, namespace: within };
  await cluster.apply([
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace: within } },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata: { name, namespace: within },
      rules: roleRules,
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name, namespace: within },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
      subjects: [subject],
    },
  ]);
  const { status: granted } = await cluster.request<{ status: { token: string } }>({
    method: "POST",
    path: `/api/v1/namespaces/${within}/serviceaccounts/${name}/token`,
    body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} },
  });
  const file = join(cluster.folder, `${name}.kubeconfig`);
  writeKubeconfig(file, cluster.url, cluster.caFile, { token: granted.token });
  return file;
}

interface RunOptions extends CliRunOptions {
  /** Default: the admin's. */
  readonly kubeconfig?: string;
}

function run(words: string, { kubeconfig, ...options }: RunOptions = {}): Promise<CliRun> {
  const env = { KUBECONFIG: kubeconfig ?? cluster.adminKubeconfig };
  return runSluicectl(words.split(" "), { mode: "cluster", env, ...options });
}

async function document<T>(words: string): Promise<T> {
  const { code, out, err } = await run(`${words} -o json`);
  assert.equal(code, 0, err);
  return JSON.parse(out) as T;
}

test("status has a line per node, whatever namespace the agents are in", async () => {
  const { code, out, err } = await run("status");
  assert.equal(code, 0, err);
  for (const node of nodes) {
    assert.match(out, new RegExp(`^${node} +in sync +1/1 +generic +1/1 +none +0\\.1\\.0, `, "m"));
  }
  assert.match(out, /Policies\nnone/);
});

test("who may list pods and exec in the agents' namespace alone can ask them", async () => {
  const { code, out, err } = await run(`status -n ${namespace}`, { kubeconfig: operatorConfig });
  assert.equal(code, 0, err);
  assert.match(out, /^node3 +in sync/m);
  assert.match(out, /xdppolicies\.sluice\.dev may not be listed/);
  // Without the namespace it is looked for where this user may not look.
  const blind = await run("status", { kubeconfig: operatorConfig });
  assert.equal(blind.code, 1);
  assert.match(blind.err, /SLUICE_KUBE_FORBIDDEN/);
});

test("exec needs both get and create, and the remedy says so", async () => {
  for (const verb of ["get", "create"]) {
    const user = await createUser(`only-${verb}`, namespace, [
      { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
      { apiGroups: [""], resources: ["pods/exec"], verbs: [verb] },
    ]);
    const words = `status --node node1 -n ${namespace}`;
    const { code, err } = await run(words, { kubeconfig: user });
    assert.equal(code, 1);
    assert.match(err, /403: .*forbidden.*\n +Grant get and create on pods\/exec/);
  }
});

test("without the right to exec each agent is a row with the API server's words", async () => {
  const reader = await createUser("reader", namespace, [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] },
  ]);
  const { code, out } = await run(`status --check -n ${namespace}`, { kubeconfig: reader });
  assert.equal(code, 4);
  assert.match(out, /^node2 +unreachable .*403: pods "sluice-agent-node2" is forbidden/m);
});

test("status --node shows all of one node, and one exec serves all calls", async () => {
  const startedBefore = kubelet.started.length;
  const { code, out } = await run("status --node node2");
  assert.equal(code, 0);
  assert.match(out, /Node +node2, in sync, generation 7/);
  assert.match(out, /eth0 +generic +1,234,567/);
  const started = kubelet.started.slice(startedBefore);
  assert.deepEqual(
    started.map(({ pod, container, command }) => [pod, container, command.at(-1)]),
    [["sluice-agent-node2", "agent", "connect"]],
  );
  const single = await document<AgentStatus>("status --node node2");
  assert.equal(single.node, "node2");
});

test("policies come with n/m of their status", async () => {
  await cluster.apply({
    apiVersion: "sluice.dev/v1alpha1",
    kind: "XdpPolicy",
    metadata: { name: "edge" },
    spec: { priority: 100 },
  });
  const { metadata } = await cluster.get<{ metadata: { generation: number } }>(
    `${api}/xdppolicies/edge`,
  );
  await cluster.request({
    method: "PATCH",
    path: `${api}/xdppolicies/edge/status`,
    contentType: "application/merge-patch+json",
    body: {
      status: {
        observedGeneration: metadata.generation,
        nodes: { desired: 3, enforcing: 2, failing: 1 },
      },
    },
  });
  statuses.set("node1", () => ({
    policies: status.policies.map((policy) => ({
      ...policy,
      confirmBy: new Date(Date.now() + 60_000).toISOString(),
    })),
  }));
  const { out } = await run("status");
  assert.match(out, /^edge +100 +Enforce +2\/3 +waits for confirmation on 1$/m);
  await cluster.rest.send({ method: "DELETE", path: `${api}/xdppolicies/edge` });
});

const api = "/apis/sluice.dev/v1alpha1";

test("an agent that cannot be reached is a row with the reason, and --check tells", async () => {
  await setPhase("node3", "Pending");
  try {
    const { code, out } = await run("status");
    assert.equal(code, 0);
    assert.match(out, /^node3 +unreachable +- +- +- +.*its pod is Pending/m);
    assert.equal((await run("status --check")).code, 4);
    const rows = await document<readonly { node: string; error?: { code: string } }[]>("status");
    assert.deepEqual(
      rows.map(({ node, error }) => [node, error?.code]),
      [
        ["node1", undefined],
        ["node2", undefined],
        ["node3", "SLUICE_AGENT_UNREACHABLE"],
      ],
    );
    const sums = await run("rules");
    assert.equal(sums.code, 3);
    assert.match(sums.out, /^edge +bad +Drop \(audit\) +2 +80 /m);
    assert.match(sums.err, /^node3: cannot reach the agent on node3 \(pod sluice-system\//);
  } finally {
    await setPhase("node3", "Running");
  }
});

test("an agent that does not listen, or that the kubelet does not know, is told by node and pod", async () => {
  const add = async (node: string) => {
    await cluster.createNode(node, { addresses: ["127.0.0.1"], kubeletPort: kubelet.port });
    await cluster.agentAccount(node, { namespace });
    await setPhase(node, "Running");
  };
  await add("node4");
  await add("unknown");
  try {
    const silent = await run("status --node node4");
    assert.equal(silent.code, 3);
    assert.match(
      silent.err,
      /^error: cannot reach the agent on node4 \(pod sluice-system\/sluice-agent-node4\): at .*node4\.sock: there is no such socket\n +Look at its pod: kubectl -n sluice-system describe pod sluice-agent-node4/,
    );
    const unknown = await run("status --node unknown");
    assert.equal(unknown.code, 3);
    assert.match(
      unknown.err,
      /^error: cannot reach the agent on unknown .* was answered with \d+: .*pod does not exist/,
    );
  } finally {
    await deletePod("node4");
    await deletePod("unknown");
  }
});

async function deletePod(node: string): Promise<void> {
  await cluster.rest.send({
    method: "DELETE",
    path: `/api/v1/namespaces/${namespace}/pods/${podOf(node)}?gracePeriodSeconds=0`,
  });
}

test("rules are summed over the nodes that have them in one form", async () => {
  rulesOf.set(
    "node3",
    rules.map((rule) => (rule.rule === "bad" ? { ...rule, mode: "Enforce" } : rule)),
  );
  const { out } = await run("rules");
  assert.match(out, /^POLICY +RULE +ACTION +NODES +PACKETS/);
  assert.match(out, /^fail-safe +ssh +Accept +3 +0/m);
  assert.match(out, /^edge +bad +Drop \(audit\) +2 +80 /m);
  assert.match(out, /^edge +bad +Drop +1 +40 /m);
  assert.match(out, /^edge +slow +Limit +3 +300 .* 90 /m);
  const one = await run("rules --node node3");
  assert.doesNotMatch(one.out, /NODES/);
  assert.match(one.out, /^edge +bad +Drop +40 /m);
});

test("policies of pods are summed over the nodes, with n/m of those that they concern", async () => {
  const { out } = await run("policies");
  assert.match(out, /KIND +NAME +MODE +NODES +PODS +RULES +PACKETS +DROPPED/);
  assert.match(out, /NetworkPolicy +web\/allow-client +Enforce +3\/3 +6 +1 +36 +21 +/);
  assert.match(out, /ClusterNetworkPolicy +baseline +Audit +0\/3 +3 +1 +9 +\(9\) .*Refused/);
  assert.match(out, /web\/elsewhere +Enforce +0\/0 +0 /);
  const one = await run("policies --node node3");
  assert.match(one.out, /web\/allow-client +Enforce +2 +1 +12 +7 /);
  const full = await run("policies web/allow-client baseline");
  assert.match(full.out, /acts on 3\/3 nodes/);
  assert.match(full.out, /isolation +ingress: web\/allow-client, web\/deny-all +Drop +3 +21/);
  assert.match(full.out, /error {2}node2: .*does not fit/);
});

test("--watch shows rates of the sums, over the connections that are there", async () => {
  let packets = 0;
  const counting = () =>
    rules
      .slice(1, 2)
      .map((rule) => ({ ...rule, matched: { packets: (packets += 100), bytes: 0 } }));
  for (const node of nodes) {
    Object.defineProperty(engines.get(node), "rules", { value: counting, configurable: true });
  }
  const startedBefore = kubelet.started.length;
  const ending = new AbortController();
  const { code, out } = await run("rules --watch --interval 100ms", {
    signal: ending.signal,
    onOutput: (text) => {
      if (text.split("PACKETS/S").length > 3) ending.abort();
    },
  });
  for (const node of nodes) {
    Object.defineProperty(engines.get(node), "rules", {
      value: () => rulesOf.get(node) ?? rules,
      configurable: true,
    });
  }
  assert.equal(code, 0);
  assert.match(out, /edge +bad +Drop \(audit\) +3 +[\d,]+ +0 B +[1-9][\d,.]* /);
  assert.equal(kubelet.started.length - startedBefore, nodes.length);
});

test("sets, protocols, blocked and log-level have a node column", async () => {
  assert.match(
    (await run("sets")).out,
    /^node2 +spamhaus +50,000 +12 +edge +spamhaus-1,spamhaus-2 \(generation 5 not in force, 4 is\)$/m,
  );
  assert.match((await run("protocols")).out, /^node3 +UDP +17 +300/m);
  assert.match((await run("log-level")).out, /^node1 +info$/m);
  const sets = await document<readonly { node: string; name: string }[]>("sets --node node1,node3");
  assert.deepEqual(
    sets.map(({ node, name }) => [node, name]),
    [
      ["node1", "spamhaus"],
      ["node3", "spamhaus"],
    ],
  );
});

test("events of all nodes come interleaved, each with its node", async () => {
  const emitting = setInterval(() => {
    // Else a node that is asked late has no part in the first thirty.
    if (!nodes.every((node) => (engines.get(node)?.listeners.size ?? 0) > 0)) return;
    for (const node of nodes) engines.get(node)?.emit({ ...event, rule: node });
  }, 20);
  try {
    const { code, out } = await run("events --follow --count 30");
    assert.equal(code, 0);
    const lines = out.trim().split("\n");
    assert.equal(lines.length, 30);
    for (const node of nodes) {
      assert.ok(
        lines.some((line) => line.startsWith(`${node}  `) && line.includes(`edge/${node}`)),
      );
    }
  } finally {
    clearInterval(emitting);
  }
  await until(() => nodes.every((node) => engines.get(node)?.listeners.size === 0));
});

test("an agent that goes while events are followed is told, and the others go on", async () => {
  let atCut = 0;
  const ending = new AbortController();
  const emitting = setInterval(() => {
    for (const node of nodes) engines.get(node)?.emit(event);
  }, 20);
  try {
    const { code, out, err } = await run("events", {
      signal: ending.signal,
      onOutput: (text) => {
        if (atCut === 0 && nodes.every((node) => text.includes(`${node}  `))) {
          atCut = text.length;
          kubelet.cut(podOf("node2"));
        }
        if (atCut > 0 && text.length > 3 * atCut + 1000) ending.abort();
      },
    });
    assert.equal(code, 0);
    assert.equal(
      err,
      "node2: cannot reach the agent on node2 (pod sluice-system/sluice-agent-node2): it ended meanwhile\n",
    );
    const later = out.slice(2 * atCut + 500);
    assert.match(later, /^node1 /m);
    assert.match(later, /^node3 /m);
    assert.doesNotMatch(later, /^node2 /m);
  } finally {
    clearInterval(emitting);
  }
});

test("block --node is local to the node, and asks for a node", async () => {
  const { code, out } = await run("block 192.0.2.77 --for 10m --node node2");
  assert.equal(code, 0);
  assert.match(out, /^blocked 192\.0\.2\.77 until .* on node2\n$/);
  assert.match((await run("blocked")).out, /^node2 +192\.0\.2\.77 /m);
  assert.equal((await run("unblock 192.0.2.77 --node node2,node3")).code, 4);
  const nowhere = await run("block 192.0.2.77");
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.err, /Give --all-nodes, or --node NODE/);
  assert.equal((await run("block 192.0.2.77 --all-nodes --node node1")).code, 2);
});

test("confirm confirms where the policy waits, and fails where none does", async () => {
  statuses.set("node2", () => ({
    policies: status.policies.map((policy) => ({
      ...policy,
      confirmBy: new Date(Date.now() + 60_000).toISOString(),
    })),
  }));
  const { code, out } = await run("confirm edge");
  assert.equal(code, 0);
  assert.match(out, /^confirmed edge on node2: it stays in force/);
  const calls = nodes.map(
    (node) => engines.get(node)?.calls.filter(([name]) => name === "confirm").length,
  );
  assert.deepEqual(calls, [0, 1, 0]);
  statuses.clear();
  const none = await run("confirm edge");
  assert.equal(none.code, 1);
  assert.match(none.err, /SLUICE_NOBODY_WAITS/);
});

test("trace asks one node", async () => {
  const many = await run("trace tcp 10.0.0.1:1234 10.77.0.11:80");
  assert.equal(many.code, 2);
  assert.match(many.err, /Give --node with one of node1, node2, node3/);
  const { code, out } = await run("trace tcp 10.0.0.1:1234 10.77.0.11:80 --node node3");
  assert.equal(code, 0);
  assert.match(out, /DROP reason rule by edge\/bad/);
  assert.equal(engines.get("node3")?.calls.at(-1)?.[0], "trace");
});

test("doctor runs in the pod, and its output and exit code come back", async () => {
  const { code, out, err } = await run("doctor --node node1 -o json");
  const report = JSON.parse(out) as { kernel: string; findings: readonly { grade: string }[] };
  const isMissing = report.findings.some(({ grade }) => grade === "missing");
  assert.equal(code, isMissing ? 4 : 0, err);
  assert.deepEqual(kubelet.started.at(-1)?.command.slice(2), ["doctor", "--output", "json"]);
  assert.equal((await run("doctor")).code, 2);
});

test("a node without an agent is named with those that have one", async () => {
  const { code, err } = await run("status --node elsewhere");
  assert.equal(code, 2);
  assert.match(err, /no agent is on node elsewhere\n +Agents are on node1, node2, node3/);
  const empty = await run("status -n default");
  assert.equal(empty.code, 3);
  assert.match(empty.err, /SLUICE_NO_AGENTS/);
});

interface StoredSet {
  readonly spec: {
    readonly setName?: string;
    readonly cidrs: readonly string[];
    readonly expiring: readonly { readonly cidr: string; readonly expiresAt: string }[];
  };
}

const setPath = `${api}/xdpcidrsets/sluice-blocked`;

/** What an agent that is in step says: what the API server has is in force. */
interface Step {
  /** The policy on this node. */
  readonly policy?: Partial<PolicyState>;
  /** Generations of the set on this node that are in force: those before the newest by so many. */
  readonly behind?: number;
}

/** Lets the agents follow what the API server has of set and policy until the body has ended. */
async function whileInStep(
  steps: Readonly<Record<string, Step>>,
  body: () => Promise<void>,
): Promise<void> {
  const generations = { set: 0, policy: 0 };
  const read = async () => {
    generations.set = await generationOf("xdpcidrsets");
    generations.policy = await generationOf("xdppolicies");
  };
  await read();
  for (const [node, { policy, behind = 0 }] of Object.entries(steps)) {
    statuses.set(node, () => ({
      policies: [
        {
          name: "sluice-blocked",
          generation: generations.policy,
          priority: 0,
          mode: "Enforce",
          selected: true,
          inForce: true,
          interfaces: ["eth0"],
          rules: 1,
          problems: [],
          ...policy,
        },
      ],
    }));
    setsOf.set(node, () => [
      {
        name: "sluice-blocked",
        objects: [
          {
            name: "sluice-blocked",
            generation: generations.set,
            generationInForce: generations.set - behind,
          },
        ],
        ipv4Prefixes: 1,
        ipv6Prefixes: 0,
        usedBy: policy?.selected === false ? [] : ["sluice-blocked"],
      },
    ]);
  }
  const over = new AbortController();
  const following = (async () => {
    while (!over.signal.aborted) {
      await read();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  try {
    await body();
  } finally {
    over.abort();
    await following;
  }
}

/** Runs as if the time were up in the third round, when all answers of the first are there. */
async function runRounds(words: string, rounds: () => number): Promise<CliRun> {
  const before = rounds();
  const ending = new AbortController();
  const looking = setInterval(() => {
    if (rounds() - before >= 3) ending.abort();
  }, 20);
  try {
    return await run(`${words} --wait 60s`, { signal: ending.signal });
  } finally {
    clearInterval(looking);
  }
}

/** 0 when it is not there. */
async function generationOf(resource: string): Promise<number> {
  const { items } = await cluster.get<{
    items: readonly { metadata: { name: string; generation: number } }[];
  }>(`${api}/${resource}`);
  const found = items.find(({ metadata }) => metadata.name === "sluice-blocked");
  return found?.metadata.generation ?? 0;
}

test("block --all-nodes makes set and policy, asks the agents, and unblock takes it back", async () => {
  await whileInStep({ node1: {}, node2: {}, node3: {} }, async () => {
    const startedBefore = kubelet.started.length;
    const { code, out, err } = await run("block 192.0.2.7 2001:db8::/32 --all-nodes");
    assert.equal(code, 0, err);
    assert.equal(out, "blocked 192.0.2.7 until unblocked\nblocked 2001:db8::/32 until unblocked\n");
    assert.equal(err, "in force on 3/3 nodes\n");
    // However often they were asked.
    assert.equal(kubelet.started.length - startedBefore, nodes.length);
    const policy = await cluster.get<{
      metadata: { labels: Record<string, string> };
      spec: { priority: number; ingress: readonly { action: string }[] };
    }>(`${api}/xdppolicies/sluice-blocked`);
    assert.equal(policy.metadata.labels["app.kubernetes.io/managed-by"], "kubectl-sluice");
    assert.equal(policy.spec.priority, 0);
    assert.equal(policy.spec.ingress[0]?.action, "Drop");

    assert.equal((await run("block 192.0.2.7/32 --for 10m --all-nodes")).code, 0);
    const { spec } = await cluster.get<StoredSet>(setPath);
    assert.equal(spec.setName, "sluice-blocked");
    assert.deepEqual(spec.cidrs, ["2001:db8::/32"]);
    assert.deepEqual(
      spec.expiring.map(({ cidr }) => cidr),
      ["192.0.2.7"],
    );
    assert.match((await run("blocked --all-nodes")).out, /^192\.0\.2\.7 +2.*Z +in 9m/m);

    const unblocked = await run("unblock 192.0.2.7 --all-nodes");
    assert.equal(unblocked.code, 0);
    assert.equal(unblocked.err, "in force on 3/3 nodes\n");
    const again = await run("unblock 192.0.2.7 --all-nodes");
    assert.equal(again.code, 4);
    assert.match(again.out, /192\.0\.2\.7 was not blocked/);
  });
});

test("a block that some nodes do not enforce in time exits with 4, n/m, and why on which", async () => {
  await setPhase("node3", "Pending");
  try {
    await whileInStep({ node1: {}, node2: { behind: 1 } }, async () => {
      for (const words of ["block 192.0.2.9", "unblock 192.0.2.9"]) {
        const { code, out, err } = await runRounds(`${words} --all-nodes`, () => asked("node2"));
        assert.equal(code, 4);
        assert.match(out, /blocked 192\.0\.2\.9/);
        assert.match(
          err,
          /^in force on 1\/3 nodes so far.*\n {2}node2: the XdpCidrSet is not in force yet\n {2}node3: cannot reach .*its pod is Pending\n$/,
        );
      }
    });
  } finally {
    await setPhase("node3", "Running");
  }
});

test("an agent that goes between two rounds is named, and what the others say counts", async () => {
  const ending = setInterval(() => kubelet.cut(podOf("node2")), 20);
  try {
    await whileInStep({ node1: {}, node2: {}, node3: {} }, async () => {
      const started = () => kubelet.started.filter(({ pod }) => pod === podOf("node2")).length;
      const { code, err } = await runRounds("block 192.0.2.10 --all-nodes", started);
      assert.equal(code, 4);
      assert.match(err, /^in force on 2\/3 nodes so far.*\n {2}node2: \S.*\n$/);
    });
  } finally {
    clearInterval(ending);
  }
});

test("an agent that does not answer does not keep the others from being asked again", async () => {
  await cluster.createNode("node5", { addresses: ["127.0.0.1"], kubeletPort: kubelet.port });
  await cluster.agentAccount("node5", { namespace });
  await setPhase("node5", "Running");
  // Reads, and never answers.
  const silent = createServer((socket) => void socket.resume()).listen(socketOf("node5"));
  try {
    await whileInStep({ node1: {}, node2: { behind: 1 }, node3: {} }, async () => {
      const words = "block 192.0.2.15 --all-nodes";
      const { code, err } = await runRounds(words, () => asked("node2"));
      assert.equal(code, 4);
      assert.match(
        err,
        /^in force on 2\/4 .*\n {2}node2: .*\n {2}node5: it has not answered in time\n$/,
      );
    });
  } finally {
    silent.close();
    await deletePod("node5");
  }
});

test("nodes that the policy does not select do not count, and a block that acts nowhere is none", async () => {
  const aside = { policy: { selected: false, inForce: false } };
  await whileInStep({ node1: {}, node2: aside, node3: {} }, async () => {
    const { code, err } = await run("block 192.0.2.11 --all-nodes");
    assert.equal(code, 0);
    assert.equal(err, "in force on 2/2 nodes\n");
  });
  await whileInStep({ node1: aside, node2: aside, node3: aside }, async () => {
    const { code, err } = await run("block 192.0.2.12 --all-nodes");
    assert.equal(code, 4);
    assert.equal(err, "the XdpPolicy sluice-blocked selects no node that has an agent\n");
    assert.equal((await run("unblock 192.0.2.11 192.0.2.12 --all-nodes")).code, 0);
  });
});

test("without the rights to ask the agents it is written all the same, and told how to check", async () => {
  const writer = await createUser("writer", namespace, [
    { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
  ]);
  await cluster.apply([
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "writer" },
      rules: [
        {
          apiGroups: ["sluice.dev"],
          resources: ["xdpcidrsets", "xdppolicies"],
          verbs: ["get", "create", "update"],
        },
      ],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "writer" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "writer" },
      subjects: [{ kind: "ServiceAccount", name: "writer", namespace }],
    },
  ]);
  const asWriter = { kubeconfig: writer };
  const noExec = await run(`block 192.0.2.13 --all-nodes -n ${namespace}`, asWriter);
  assert.equal(noExec.code, 4);
  assert.equal(noExec.out, "blocked 192.0.2.13 until unblocked\n");
  assert.match(
    noExec.err,
    /^written, but not checked .*403.*\n.*can-i get pods --subresource=exec -n sluice-system, kubectl auth can-i create pods --subresource=exec -n sluice-system\n$/,
  );
  const noList = await run("block 192.0.2.14 --all-nodes", asWriter);
  assert.equal(noList.code, 4);
  assert.match(
    noList.err,
    /^written, but not checked .*403.*\n.*kubectl auth can-i list pods -A\n$/,
  );
  const { spec } = await cluster.get<StoredSet>(setPath);
  for (const cidr of ["192.0.2.13", "192.0.2.14"]) assert.ok(spec.cidrs.includes(cidr));
  // Who does not wait needs no right to ask.
  const unasked = await run("unblock 192.0.2.13 192.0.2.14 --all-nodes --no-wait", asWriter);
  assert.deepEqual([unasked.code, unasked.err], [0, ""]);
});

test("many who block at the same time all end up in the list, and what has ended goes", async () => {
  const ended = { cidr: "198.51.100.1", expiresAt: new Date(Date.now() - 1000).toISOString() };
  await cluster.request({
    method: "PATCH",
    path: setPath,
    contentType: "application/merge-patch+json",
    body: { spec: { cidrs: [], expiring: [ended] } },
  });
  const cidrs = Array.from({ length: 8 }, (_, index) => `203.0.113.${index}`);
  const runs = await Promise.all(
    cidrs.map((cidr) => run(`block ${cidr} --for 1h --all-nodes --no-wait`)),
  );
  for (const { code, err } of runs) assert.equal(code, 0, err);
  const { spec } = await cluster.get<StoredSet>(setPath);
  assert.deepEqual(spec.expiring.map(({ cidr }) => cidr).toSorted(), cidrs);
});

test("what is no address of a set is refused before anything is written", async () => {
  for (const cidr of ["10.0.0.1/8", "0.0.0.0/0", "nonsense"]) {
    const { code, err } = await run(`block ${cidr} --all-nodes`);
    assert.equal(code, 1);
    assert.match(err, /SLUICE_CIDR/);
  }
});

test("a list that is too large for etcd is refused with what to do, and stays as it was", async () => {
  const entry = (index: number) => ({
    cidr: `10.${100 + (index >> 16)}.${100 + ((index >> 8) & 127)}.${100 + (index & 127)}`,
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
  });
  // etcd takes 1.5 MiB.
  const count = Math.floor(1_560_000 / (JSON.stringify(entry(0)).length + 1));
  const expiring = Array.from({ length: count }, (_, index) => entry(index));
  const body = { spec: { cidrs: [], expiring } };
  const contentType = "application/merge-patch+json";
  await cluster.request({ method: "PATCH", path: setPath, contentType, body });
  const more = Array.from({ length: 400 }, (_, index) => `2001:db8:1234:5678::${index + 1}`);
  const { code, err } = await run(`block ${more.join(" ")} --for 1h --all-nodes --no-wait`);
  assert.equal(code, 1);
  assert.match(err, /too large for one object\n +Take some back .*\n +SLUICE_BLOCK_FULL/);
  const { spec } = await cluster.get<StoredSet>(setPath);
  assert.equal(spec.expiring.length, count);
  await cluster.rest.send({ method: "DELETE", path: setPath });
});

test("kubectl runs it as a plugin", async () => {
  const folder = join(cluster.folder, "plugins");
  mkdirSync(folder);
  const script = fileURLToPath(new URL("../../operator/cli/kubectl-main.js", import.meta.url));
  writeFileSync(
    join(folder, "kubectl-sluice"),
    `#!/bin/sh\nexec '${process.execPath}' '${script}' "$@"\n`,
    { mode: 0o755 },
  );
  const out = await cluster.kubectl(["sluice", "status", "--node", "node1"], {
    env: { PATH: `${folder}:${process.env["PATH"]}` },
  });
  assert.match(out, /Node +node1, in sync/);
});

test("nothing that was started in a pod is left", async () => {
  await until(() => kubelet.running() === 0);
});

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo()) {
    assert.ok(performance.now() < deadline, "it did not come to be in 10 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a packet between pods is traced on the nodes of both, as one walk", async () => {
  const asked: string[] = [];
  for (const node of nodes) {
    const pods: Pick<PodReports, "locate" | "trace"> = {
      locate: () => ({ node, place: { kind: "outside" }, isAttached: false }),
      async trace({ pod, direction }) {
        asked.push(`${node}: ${direction} of ${pod}`);
        const ruled = { reason: "rule", policy: "NetworkPolicy web/deny", rule: "x" } as const;
        return {
          ...{
            pod,
            direction,
            node,
            stages: [],
            matched: [],
            isClosed: false,
            delivery: "route" as const,
          },
          ...(direction === "egress"
            ? { verdict: "pass", reason: "no-rule" }
            : { verdict: "drop", ...ruled }),
        };
      },
    };
    Object.defineProperty(engines.get(node), "pods", { value: () => pods, configurable: true });
  }
  await createNamespace(cluster, "web");
  for (const [name, nodeName, ip] of [
    ["client", "node1", "10.244.1.5"],
    ["server", "node2", "10.244.2.6"],
  ] as const) {
    const container = { name: "c", image: "none", ports: [{ name: "http", containerPort: 8080 }] };
    const path = "/api/v1/namespaces/web/pods";
    await cluster.request({
      method: "POST",
      path,
      body: {
        metadata: { name },
        spec: { nodeName, automountServiceAccountToken: false, containers: [container] },
      },
    });
    await cluster.request({
      method: "PATCH",
      path: `${path}/${name}/status`,
      contentType: "application/merge-patch+json",
      body: { status: { phase: "Running", podIP: ip, podIPs: [{ ip }] } },
    });
  }
  const both = await run("trace web/client web/server:http --expect deny");
  assert.equal(both.code, 0, both.err);
  assert.deepEqual(asked, ["node1: egress of web/client", "node2: ingress of web/server"]);
  assert.match(both.out, /^packet +tcp 10\.244\.1\.5:32768 > 10\.244\.2\.6:8080 SYN$/m);
  assert.match(both.out, /^way +from node1 to node2, past its stack$/m);
  assert.match(both.out, /^ingress +web\/server on node2: DROP reason rule by NetworkPolicy web/m);

  const outside = await run("trace 198.51.100.7 web/server:80");
  assert.match(outside.out, /^egress +none: the source is outside the cluster$/m);
  const half = await run("trace web/client web/server:80 --node node1 --expect allow");
  assert.equal(half.code, 4);
  assert.match(
    half.out,
    /^ingress +not asked: the destination is on node node2, which has no agent/m,
  );

  const unknown = await run("trace web/client web/servr:80");
  assert.equal(unknown.code, 1);
  assert.match(unknown.err, /there is no pod web\/servr\n +Did you mean web\/server\?/);
  const words = `trace web/client web/server:80 -n ${namespace}`;
  const denied = await run(words, { kubeconfig: operatorConfig });
  assert.equal(denied.code, 1);
  assert.match(denied.err, /SLUICE_KUBE_FORBIDDEN/);
});
