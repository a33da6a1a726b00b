import assert from "node:assert/strict";
import { test } from "node:test";
import { toFailure } from "./errors.js";
import { decodeRequest, encodeRequest } from "./frame.js";
import { readAttachment, readVerb } from "./request.js";

const good = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "0a1b",
  CNI_IFNAME: "eth0",
  CNI_NETNS: "/run/netns/a",
  CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=app-1;K8S_POD_UID=u-1;FOO=bar",
};
const request = (changes: Record<string, string | undefined>) => ({
  environment: new Map(
    Object.entries({ ...good, ...changes }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  ),
  config: "{}",
});

test("an attachment and its pod are read", () => {
  assert.equal(readVerb(request({})), "ADD");
  assert.deepEqual(readAttachment(request({}), "ADD"), {
    containerId: "0a1b",
    ifName: "eth0",
    netns: "/run/netns/a",
    pod: { namespace: "web", name: "app-1", uid: "u-1" },
  });
});

test("DEL comes without a network namespace and with any arguments", () => {
  const { netns } = readAttachment(request({ CNI_NETNS: "", CNI_ARGS: "nonsense" }), "DEL");
  assert.equal(netns, undefined);
});

test("a wrong variable is code 4 and named", () => {
  for (const [name, value] of [
    ["CNI_CONTAINERID", undefined],
    ["CNI_CONTAINERID", ""],
    ["CNI_CONTAINERID", "../etc"],
    ["CNI_CONTAINERID", "a".repeat(97)],
    ["CNI_IFNAME", undefined],
    ["CNI_IFNAME", "a".repeat(16)],
    ["CNI_IFNAME", ".."],
    ["CNI_IFNAME", "a/b"],
    ["CNI_NETNS", undefined],
    ["CNI_NETNS", "netns/a"],
    ["CNI_ARGS", "FOO=bar"],
    ["CNI_ARGS", "FOO"],
  ] as const) {
    assert.throws(
      () => readAttachment(request({ [name]: value }), "ADD"),
      (error) => {
        const { code, msg } = toFailure(error, "1.1.0");
        return code === 4 && msg.startsWith(name);
      },
      `${name}=${value}`,
    );
  }
  assert.throws(() => readVerb(request({ CNI_COMMAND: "UP" })), { code: "SLUICE_CNI_ENVIRONMENT" });
});

test("a request survives the wire; one that is cut, too large or of another protocol is refused", () => {
  const bytes = encodeRequest(request({}));
  assert.deepEqual(decodeRequest(bytes), request({}));
  assert.throws(() => decodeRequest(bytes.subarray(0, -1)), { code: "SLUICE_CNI_DECODE" });
  assert.throws(() => decodeRequest(bytes.subarray(0, 8)), { code: "SLUICE_CNI_DECODE" });
  const other = Buffer.from(bytes);
  other.write("sluicni9");
  assert.throws(() => decodeRequest(other), {
    code: "SLUICE_CNI_DECODE",
    message: /another protocol/,
  });
  const large = Buffer.from(bytes);
  large.writeUInt32BE(0xffff_ffff, 12);
  assert.throws(() => decodeRequest(large), { code: "SLUICE_CNI_DECODE", message: /4294967295/ });
});
