import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { SluiceError } from "../errors.js";
import { readFailSafe } from "./fail-safe-file.js";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-fail-safe-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function save(text: string): string {
  const path = join(folder, "fail-safe.yaml");
  writeFileSync(path, text);
  return path;
}

test("a list of rules is read as a policy's rules are", () => {
  const rules = readFailSafe(
    save(`
- name: ssh
  action: Accept
  from: [{cidr: 10.0.0.0/8}]
  protocols: [{tcp: {destinationPort: {number: 22}}}]
- name: ping
  action: Accept
  protocols: [{icmp: {type: 8}}]
`),
  );
  assert.deepEqual(
    rules.map(({ name, action }) => [name, action.kind]),
    [
      ["ssh", "Accept"],
      ["ping", "Accept"],
    ],
  );
  assert.deepEqual(rules[0]?.protocols, [{ kind: "tcp", destinationPort: { start: 22, end: 22 } }]);
});

test("an empty list switches the fail-safe off", () => {
  assert.deepEqual(readFailSafe(save("[]")), []);
});

const refused: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  [
    "a wrong CIDR",
    "- name: a\n  action: Accept\n  from: [{cidr: 10.0.0.1/8}]",
    /fail-safe\.yaml:3: rules\[0\]\.from\[0\]\.cidr: .*host bits/,
  ],
  ["an unknown field", "- {name: a, action: Accept, form: []}", /rules\[0\]\.form/],
  [
    "two rules of one name",
    "- {name: a, action: Accept}\n- {name: a, action: Accept}",
    /rules\[1\]/,
  ],
  [
    "an action that does not accept",
    "- {name: a, action: Drop}",
    /rule a .* has action Drop: fail-safe rules only accept/,
  ],
  ["a policy in place of rules", "kind: XdpPolicy", /holds no list/],
  ["two documents", "[]\n---\n[]", /has 2 YAML documents/],
  ["nothing", "", /has 0 YAML documents/],
  ["broken YAML", "- {", /fail-safe\.yaml:1/],
];

for (const [what, text, message] of refused) {
  test(`a fail-safe file with ${what} is refused`, () => {
    assert.throws(
      () => readFailSafe(save(text)),
      (error: unknown) => {
        assert.ok(error instanceof SluiceError);
        assert.equal(error.code, "SLUICE_FAIL_SAFE");
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test("a fail-safe file that is not there is refused", () => {
  assert.throws(() => readFailSafe(join(folder, "absent")), /cannot be read: ENOENT/);
});
