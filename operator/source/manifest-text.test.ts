import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseAllDocuments } from "yaml";
import { parseManifestText } from "./manifest-text.js";
import { liftRuns } from "./scalar-runs.js";

function entries(count: number, indent: string, from = 0): string {
  return Array.from({ length: count }, (_, i) => `${indent}- 192.0.2.${from + i}\n`).join("");
}

/** What the YAML library alone makes of a text: values, or that it cannot be read. */
function plainly(text: string): unknown {
  const options = { merge: true, prettyErrors: false, logLevel: "silent" } as const;
  const documents = parseAllDocuments(text, options);
  if (!Array.isArray(documents)) return [];
  if (documents.some(({ errors }) => errors.length > 0)) return "faults";
  return valuesOf(documents.map((document) => () => document.toJS() as unknown));
}

function read(text: string): unknown {
  const { documents } = parseManifestText(text);
  return documents === undefined
    ? "faults"
    : valuesOf(documents.map((document) => () => document.read()));
}

function valuesOf(readers: readonly (() => unknown)[]): unknown {
  try {
    return readers.map((reader) => reader()).filter((value) => value !== null);
  } catch {
    return "no values";
  }
}

describe("long lists of addresses are read past the YAML library with the same meaning", () => {
  it("in every place where lines that look like entries can stand", () => {
    const run = entries(40, "  ");
    const texts = {
      "a list in a map": `a:\n${run}b: 1\n`,
      "a list at the margin": entries(40, ""),
      "a list at the indentation of its key": `a:\n${entries(40, "")}b: 1\n`,
      "a list in a list": `-\n${run}- x\n`,
      "behind an entry of another kind": `a:\n  - {x: 1}\n${run}  - y\n`,
      "two lists": `a:\n${run}b:\n${entries(50, "    ", 100)}`,
      "two runs in one list": `a:\n${run}  - {x: 1}\n${entries(40, "  ", 100)}`,
      "a block scalar": `a: |\n${run}b: 1\n`,
      "a folded scalar": `a: >-\n${run}b: 1\n`,
      "a plain scalar over several lines": `a: text\n${run}b: 1\n`,
      "a quoted scalar over several lines": `a: "text\n${run}  "\nb: 1\n`,
      "a last entry that goes on": `a:\n${run}    more\nb: 1\n`,
      "a flow list": `a: [\n${run}]\n`,
      "an anchor and its alias": `a: &x\n${run}b: *x\n`,
      "a merged map": `a: &x\n  c:\n${entries(40, "  ")}b:\n  <<: *x\n`,
      "a tag on the list": `a: !!seq\n${run}b: 1\n`,
      "an odd tag on the list": `a: !!set\n${run}b: 1\n`,
      "a list as a key": `?\n${run}: 1\n`,
      "YAML 1.1": `%YAML 1.1\n---\na:\n${"  - 1:20:30\n".repeat(40)}`,
      "several documents": `a:\n${run}---\nb:\n${run}...\n---\n${entries(40, "")}`,
      "the text of a placeholder": `a: sluice-scalar-run-0\nb:\n${run}`,
      "comments and quotes": `a:\n${"  - 10.0.0.0/8 # why\n  - '::1'\n  - \"1\"\n  - 'fade'\n".repeat(10)}b: 1\n`,
      "carriage returns": `a:\n${run}b: 1\n`.replaceAll("\n", "\r\n"),
      "no newline at the end": `a:\n${run}`.trimEnd(),
      "wrong indentation behind": `a:\n${run} - x\n`,
      "a syntax error behind": `a:\n${run}b: [\n`,
      "an open quote in front": `- '192.0.2.1''\n${"- '192.0.2.1'\n".repeat(40)}`,
      "names with a colon": `a:\n${"  - ab::\n".repeat(40)}`,
    };
    for (const [place, text] of Object.entries(texts)) {
      assert.deepEqual(read(text), plainly(text), place);
    }
  });

  it("whatever lines stand around and between them", () => {
    const token = fc.constantFrom(
      ..."192.0.2.1 10.0.0.0/8 ::1 fe80:: 1 1.5 1e5 .5 a:b ab: :a / 0.0.0.0/0 1:2 . .. ::".split(
        " ",
      ),
    );
    const entry = fc
      .tuple(
        fc.constantFrom("", " ", "  ", "    "),
        fc.constantFrom("- ", "-  ", "-", "- - "),
        token,
        fc.constantFrom("", "", "", " ", " # note", "#", "'", "\r", "\t"),
        fc.constantFrom("", "", "", "'", '"'),
      )
      .map(([indent, dash, text, end, mark]) => `${indent}${dash}${mark}${text}${mark}${end}`);
    const other = fc.constantFrom(
      ..."a:|  a:|---|...|a: [|]|a: |-|a: >|a: &x|b: *x|# note|  text|'|\"|- b|{a: 1}|? a|: b||a: !!set".split(
        "|",
      ),
    );
    const repeated = fc.tuple(entry, fc.nat(40)).map(([line, count]) => `${line}\n`.repeat(count));
    const part = fc.oneof(
      repeated,
      repeated,
      other.map((line) => `${line}\n`),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const text = parts.join("");
        assert.deepEqual(read(text), plainly(text));
      }),
      { numRuns: 1500 },
    );
  });

  it("and are really lifted from a manifest as people write it", () => {
    const manifest = `spec:\n  cidrs:\n${entries(200, "  - ".replace("- ", ""))}`;
    assert.equal(liftRuns(manifest).runs.length, 1);
    assert.ok(liftRuns(manifest).text.length < 100);
  });
});

describe("the line of a field", () => {
  const text = [
    "# a comment", // 1
    "kind: A", // 2
    "spec:", // 3
    "  cidrs:", // 4
    ...entries(50, "  ").trimEnd().split("\n"), // 5 to 54
    "  - {cidr: x}", // 55
    ...entries(50, "  ", 100).trimEnd().split("\n"), // 56 to 105
    "  rules:", // 106
    "  - name: a", // 107
    "    action: b", // 108
    "---", // 109
    "kind: B", // 110
  ].join("\n");

  it("is found before, in and behind a long list", () => {
    const [a, b] = parseManifestText(text).documents ?? [];
    a?.read();
    assert.equal(a?.line, 2);
    assert.equal(a.lineOf(["kind"]), 2);
    assert.equal(a.lineOf(["spec", "cidrs"]), 4);
    assert.equal(a.lineOf(["spec", "cidrs", 0]), 5);
    assert.equal(a.lineOf(["spec", "cidrs", 49]), 54);
    assert.equal(a.lineOf(["spec", "cidrs", 50]), 55);
    assert.equal(a.lineOf(["spec", "cidrs", 51]), 56);
    assert.equal(a.lineOf(["spec", "cidrs", 100]), 105);
    assert.equal(a.lineOf(["spec", "rules", 0, "action"]), 108);
    assert.equal(b?.line, 110);
    assert.equal(b.lineOf(["kind"]), 110);
  });

  it("is that of the nearest field above when the field is missing", () => {
    const [a] = parseManifestText(text).documents ?? [];
    assert.equal(a?.lineOf(["spec", "rules", 0, "from", 3, "cidr"]), 107);
    assert.equal(a?.lineOf(["status"]), 2);
  });

  it("is found in JSON too", () => {
    const [json] = parseManifestText('{\n"kind": "A",\n"spec": {\n"x": 1}}').documents ?? [];
    assert.deepEqual(json?.read(), { kind: "A", spec: { x: 1 } });
    assert.equal(json?.lineOf(["spec", "x"]), 4);
  });
});

describe("a text that is no YAML", () => {
  it("is told with the line in the file, also behind a long list", () => {
    const { faults } = parseManifestText(`a:\n${entries(50, "  ")}b: [1,\nc: }\n`);
    assert.ok(faults !== undefined && faults.length > 0);
    assert.ok(faults[0]?.line !== undefined && faults[0].line >= 52, String(faults[0]?.line));
  });

  it("is told at once when it has a million entries besides", () => {
    const lines = entries(200, "  ").repeat(5000);
    const { faults } = parseManifestText(`a:\n${lines}b: "\nc: 1\n`);
    assert.equal(faults?.[0]?.code, "SLUICE_YAML_SYNTAX");
    assert.ok((faults[0].line ?? 0) > 1_000_000);
  });

  it("is one with more YAML than can be parsed without holding up all else", () => {
    const { faults } = parseManifestText("- {a: 1}\n".repeat(500_000));
    assert.equal(faults?.[0]?.code, "SLUICE_FILE_TOO_LARGE");
    const hidden = parseManifestText(`a: |\n${entries(200, "  ").repeat(2000)}`);
    assert.equal(hidden.faults?.[0]?.code, "SLUICE_FILE_TOO_LARGE");
  });

  it("is told for JSON with a fault", () => {
    const { faults } = parseManifestText('{\n"a": 1,\n"b": [1, }\n}');
    assert.equal(faults?.[0]?.line, 3);
  });

  it("is told for tabs and for two keys of one name", () => {
    for (const text of ["a:\n\tb: 1\n", "a: 1\na: 2\n"]) {
      assert.ok(parseManifestText(text).faults?.[0]?.message, text);
    }
  });

  it("does not blow up through aliases", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 10; i++) {
      lines.push(
        `a${i}: &a${i} [${Array(9)
          .fill(`*a${i - 1}`)
          .join(", ")}]`,
      );
    }
    const [document] = parseManifestText(lines.join("\n")).documents ?? [];
    assert.throws(() => document?.read(), /alias/i);
  });

  it("may also show only when its values are read", () => {
    const [document] = parseManifestText("a: *nowhere\n").documents ?? [];
    assert.throws(() => document?.read(), /nowhere/);
  });

  it("is not one that is empty, or has empty documents", () => {
    for (const text of ["", "\n", "# nothing\n", "---\n---\n"]) {
      assert.deepEqual(parseManifestText(text).documents, [], JSON.stringify(text));
    }
  });
});
