import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { runSluicectl } from "../../../test/agent/run-cli.js";
import type { Walk } from "../pod-trace/walk.js";

const folder = mkdtempSync(join(tmpdir(), "sluice-explain-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const pods = `
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: web, labels: {app: client}}
spec: {nodeName: n1, containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: web, labels: {app: server}}
spec:
  nodeName: n2
  containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]
status: {podIPs: [{ip: 10.244.2.9}, {ip: "fd00::9"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: web}
spec: {nodeName: n2, hostNetwork: true, containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: web}
spec: {containers: [{name: c}]}
status: {phase: Succeeded, podIP: 10.244.2.10}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}
`;
/* Neither policyTypes nor protocol: as people write it. */
const allow = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow, namespace: web}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: client}}}]
    ports: [{port: http}]
`;
const denyByAdmin = `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: no-web}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {}}
  egress:
  - {name: none, action: Deny, to: [{networks: [198.51.100.0/24]}]}
`;

let count = 0;
function file(text: string): string {
  const path = join(folder, `${++count}.yaml`);
  writeFileSync(path, text);
  return path;
}

const podsFile = file(pods);
const allowFile = file(allow);

const explain = (words: string, files: readonly string[] = [podsFile, allowFile], typed?: string) =>
  runSluicectl(
    ["explain", ...files.flatMap((path) => ["-f", path]), ...words.split(" ")],
    typed === undefined ? {} : { typed },
  );

describe("a connection is explained", () => {
  it("by the rule that allows it, with what the API server would have filled in", async () => {
    const { out, code, err } = await explain("web/client web/server:http --expect allow");
    assert.equal(code, 0, err);
    assert.match(out, /^egress +web\/client on n1: PASS reason no-rule$/m);
    assert.match(out, /^way +from n1 to n2$/m);
    assert.match(out, /^PASS reason rule by NetworkPolicy web\/allow, ingress\[0\]$/m);
    assert.match(err, /web\/client has no address in its manifest/);
  });

  for (const [words, field] of [
    ["udp web/client web/server:8080", "protocol or port"],
    ["web/client web/server:80", "protocol or port"],
    ["198.51.100.7 web/server:8080", "source"],
    ["198.51.100.7 web/server:80", "source and the protocol or port"],
  ] as const) {
    it(`by what isolates it, and what the nearest rule lacks: ${words}`, async () => {
      const { out, code } = await explain(`${words} --expect deny`);
      assert.equal(code, 0);
      assert.match(out, /^DROP reason rule by isolation, ingress: web\/allow$/m);
      const near = `would accept +NetworkPolicy web/allow, ingress\\[0\\] .*, but for the ${field}`;
      assert.match(out, new RegExp(`${near}$`, "m"));
    });
  }

  it("by the tier that decides, and no rule behind it is near", async () => {
    const { out } = await explain("web/server 198.51.100.1:443 -o json", [
      podsFile,
      allowFile,
      file(denyByAdmin),
    ]);
    const { steps, verdict, policy, rule, unasked } = JSON.parse(out) as Walk;
    assert.deepEqual([verdict, policy, rule], ["drop", "ClusterNetworkPolicy no-web", "none"]);
    assert.deepEqual(steps[0]?.near, []);
    assert.deepEqual(
      unasked.map(({ direction, isOpenQuestion }) => [direction, isOpenQuestion]),
      [["ingress", false]],
    );
  });

  it("from its own node: always", async () => {
    for (const source of ["web/host", "192.168.0.2"]) {
      const { out } = await explain(`${source} web/server:9`);
      assert.match(out, /^ingress +web\/server on n2: PASS reason not-judged$/m);
    }
  });

  it("in audit mode: told, and not enforced", async () => {
    const audit = allow.replace(
      "namespace: web}",
      'namespace: web, annotations: {"sluice.dev/mode": audit}}',
    );
    const { out } = await explain("web/client web/server:9", [podsFile, file(audit)]);
    assert.match(out, /matched +isolation, ingress: web\/allow: audit: drop/);
    assert.match(out, /^PASS reason no-rule$/m);
  });

  it("from folders, and from what is piped in", async () => {
    const nested = join(folder, "nested");
    mkdirSync(join(nested, "below"), { recursive: true });
    writeFileSync(join(nested, "pods.yaml"), pods);
    writeFileSync(join(nested, "below", "allow.yml"), allow);
    writeFileSync(join(nested, "README.md"), "no manifest");
    const { out } = await explain("web/client web/server:80", [nested]);
    assert.match(out, /^DROP /m);
    const list = `apiVersion: v1\nkind: List\nitems:\n${pods
      .split("---")
      .map((text) => `-${text.trim().replaceAll(/^/gm, "  ").slice(1)}`)
      .join("\n")}`;
    const piped = await explain("pod/client pod/server:80 -n web", [allowFile, "-"], list);
    assert.match(piped.out, /^DROP /m, piped.err);
  });
});

describe("manifests that are wrong are told, and nothing is judged", () => {
  for (const [what, text, says] of [
    [
      "a field that is mistyped",
      allow.replace("podSelector: {matchLabels: {app: server}}", "podSelecter: {}"),
      /NetworkPolicy web\/allow.*spec\.podSelecter.*Did you mean podSelector\?/s,
    ],
    [
      "a block",
      allow.replace("podSelector: {matchLabels: {app: client}}", "ipBlock: {cidr: 10.0.0.0/33}"),
      /NetworkPolicy web\/allow.*spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr.*is no CIDR/s,
    ],
    ["a version", allow.replace("k8s.io/v1", "k8s.io/v1beta1"), /Write apiVersion: networking/],
    ["YAML", "kind: [", /yaml:1: Flow sequence .* Correct the line/m],
    ["an object that is none", "just: text", /the object has no kind/],
    ["a Node without a name", "apiVersion: v1\nkind: Node\nmetadata: {}", /Node: .*has no name/],
    ["an object twice", `${allow}---${allow}`, /the same NetworkPolicy is defined at/],
  ] as const) {
    it(what, async () => {
      const { err, out, code } = await explain("web/client web/server:80", [podsFile, file(text)]);
      assert.equal(code, 1, err);
      assert.equal(out, "");
      assert.match(err, says);
      assert.match(err, /SLUICE_MANIFESTS/);
    });
  }

  it("but what is none of its kinds is left alone; policies of others are named", async () => {
    const others = `
apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: other}
`;
    const files = [podsFile, allowFile, file(others)];
    const { err, code } = await explain("web/client web/server:http", files);
    assert.equal(code, 0);
    assert.match(
      err,
      /^warning .*NetworkPolicy of projectcalico\.org\/v3 is no kind that this source/m,
    );
    assert.doesNotMatch(err, /Service/);
  });
});

for (const [words, code, says] of [
  ["web/client web/servr:80", 1, /there is no pod web\/servr in the manifests\n.*web\/server\?/],
  ["db/client web/server:80", 1, /Did you mean web\/client\?/],
  ["web/client web/done:80", 2, /the pod web\/done has ended/],
  ["web/host 192.0.2.1:80", 2, /nothing judges this packet/],
  ["web/client web/server", 2, /needs a port/],
  ["web/client web/server:80 --expect maybe", 2, /Allowed choices are allow, deny/],
] as const) {
  it(`is refused: ${words}`, async () => {
    const run = await explain(words);
    assert.equal(run.code, code, run.err);
    assert.match(run.err, says);
  });
}

it("a verdict that is not expected is a finding", async () => {
  assert.equal((await explain("web/client web/server:80 --expect allow")).code, 4);
  assert.equal((await explain("web/client web/server:80")).code, 0);
  assert.equal((await explain("web/client web/server:80", [join(folder, "none")])).code, 1);
});
