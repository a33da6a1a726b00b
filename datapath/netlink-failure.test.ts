import assert from "node:assert/strict";
import { test } from "node:test";
import { Errno } from "./errors.js";
import { stringAttribute } from "./netlink-attributes.js";
import { refusal, refusalErrno, unlessRefused } from "./netlink-failure.js";
import type { NetlinkMessage } from "./netlink-message.js";
import { ControlType, MessageFlag } from "./netlink-message.js";

function answer(type: number, errno: number, reason?: string): NetlinkMessage {
  const code = Buffer.alloc(type === ControlType.error ? 20 : 4);
  code.writeInt32LE(-errno);
  const attributes = reason === undefined ? [] : [stringAttribute(1, reason)];
  const flags = reason === undefined ? 0 : MessageFlag.hasReason;
  return { type, flags, sequence: 1, payload: Buffer.concat([code, ...attributes]) };
}

test("a refusal quotes the kernel's reason, else the meaning of the errno", () => {
  const told = refusal(answer(ControlType.error, Errno.EINVAL, "Invalid prefix."), "add a route");
  assert.equal(told.code, "SLUICE_NETLINK_FAILED");
  assert.equal(told.problem, "cannot add a route: Invalid prefix (EINVAL)");
  const silent = refusal(answer(ControlType.error, Errno.EEXIST), "add a route");
  assert.equal(silent.problem, "cannot add a route: EEXIST (file already exists)");
  assert.equal(silent.remedy, "Replace it, or delete it first");
});

test("a list that ends with an error is refused too, with its reason", () => {
  const end = answer(ControlType.done, Errno.ENOENT, "FIB table does not exist");
  assert.equal(refusalErrno(end), Errno.ENOENT);
  assert.equal(
    refusal(end, "list the routes").problem,
    "cannot list the routes: FIB table does not exist (ENOENT)",
  );
});

test("an acknowledgement, the end of a list and what a list holds are no refusals", () => {
  assert.equal(refusalErrno(answer(ControlType.error, 0)), 0);
  assert.equal(refusalErrno(answer(ControlType.done, 0)), 0);
  assert.equal(refusalErrno({ ...answer(ControlType.done, 0), payload: Buffer.alloc(0) }), 0);
  assert.equal(refusalErrno({ ...answer(ControlType.error, 5), type: 24 }), 0);
});

test("only the errnos that were named are taken for an answer", () => {
  const refuse = () => {
    throw refusal(answer(ControlType.error, Errno.ESRCH), "delete a route");
  };
  assert.equal(unlessRefused([Errno.ENODEV, Errno.ESRCH], refuse), undefined);
  assert.throws(() => unlessRefused([Errno.ENODEV], refuse), /ESRCH/);
  assert.equal(
    unlessRefused([], () => 1),
    1,
  );
});
