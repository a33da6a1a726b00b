import assert from "node:assert/strict";
import { test } from "node:test";
import { datapathError, describeErrno, errnoName, SluiceError, SystemError } from "./errors.js";

test("a message ends with what to do, and problem and remedy are kept apart", () => {
  const cause = new Error("below");
  const error = datapathError("SLUICE_NO_BPFFS", "/x is not on a BPF file system", { cause });
  assert.ok(error instanceof SluiceError);
  assert.equal(
    error.message,
    "/x is not on a BPF file system. Mount one: mount -t bpf bpf /sys/fs/bpf",
  );
  assert.equal(error.problem, "/x is not on a BPF file system");
  assert.equal(error.remedy, "Mount one: mount -t bpf bpf /sys/fs/bpf");
  assert.equal(error.cause, cause);
});

test("a better remedy replaces that of the code, and an error without one has none", () => {
  const options = { remedy: "Do this" };
  assert.equal(
    datapathError("SLUICE_MAP_FULL", "it is full", options).message,
    "it is full. Do this",
  );
  assert.equal(new SluiceError("SLUICE_X", "it failed").message, "it failed");
});

test("quoted lines are followed by the remedy on a line of its own", () => {
  const error = new SluiceError("SLUICE_X", "it said:\nno\n", { remedy: "Do this" });
  assert.equal(error.message, "it said:\nno\nDo this");
});

test("errnos have names, those of libbpf and of the kernel included", () => {
  assert.equal(errnoName(1), "EPERM");
  assert.equal(errnoName(524), "ENOTSUPP");
  assert.equal(
    describeErrno(4001),
    "LIBBPF_ERRNO__FORMAT (the format of the BPF object is invalid)",
  );
  assert.equal(describeErrno(9999), "errno 9999");
  const error = new SystemError("bpf_obj_get", 2);
  assert.deepEqual(
    [error.code, error.errno, error.syscall, error.message],
    ["ENOENT", 2, "bpf_obj_get", "bpf_obj_get: ENOENT (no such file or directory)"],
  );
});
