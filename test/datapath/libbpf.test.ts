import assert from "node:assert/strict";
import { test } from "node:test";
import { libbpf, loadLibbpf } from "../../datapath/libbpf.js";
import { probeKernel } from "../../datapath/probe.js";

test("a missing libbpf is named with the package that brings it", () => {
  assert.throws(() => loadLibbpf("libbpf-is-not-here.so.1"), {
    code: "SLUICE_LIBBPF_MISSING",
    message: /libbpf-is-not-here\.so\.1.*apt install libbpf1/,
  });
});

test("a library that is not libbpf is refused by the function that it lacks", () => {
  assert.throws(() => loadLibbpf("libc.so.6"), {
    code: "SLUICE_LIBBPF_TOO_OLD",
    message: /libc\.so\.6 has no function libbpf_major_version/,
  });
});

test("libbpf is loaded once and is of a version that fits", () => {
  assert.equal(libbpf(), libbpf());
  assert.equal(libbpf().libbpf_major_version(), 1);
});

test("a probe of this machine finds what every supported kernel has", () => {
  const report = probeKernel();
  const answers = new Map(report.features.map(({ name, answer }) => [name, answer]));
  for (const name of [
    "program type xdp",
    "map type ringbuf",
    "helper bpf_redirect_peer",
    "XDP links",
    "atomic compare-and-exchange",
  ]) {
    assert.equal(answers.get(name), "yes", name);
  }
  assert.deepEqual([report.btf, report.bpffs, report.jit], ["yes", "yes", "yes"]);
  assert.match(report.libbpf, /^v1\./);
});
