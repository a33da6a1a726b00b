import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { jsonLines, jsonList } from "./json-stream.js";

/** The bytes of a text in pieces of the given sizes, used again and again. */
function pieces(text: string, sizes: readonly number[]): readonly Buffer[] {
  const bytes = Buffer.from(text);
  const out: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    out.push(bytes.subarray(at, at + size));
    at += size;
  }
  return out;
}

const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });

describe("jsonLines", () => {
  it("gives each line's value, wherever the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), sizes, (values, cuts) => {
        const seen: unknown[] = [];
        const write = jsonLines((value) => void seen.push(value));
        const text = values.map((value) => `${JSON.stringify(value)}\n`).join("");
        for (const piece of pieces(text, cuts)) write(piece);
        assert.deepEqual(seen, JSON.parse(JSON.stringify(values)));
      }),
    );
  });

  it("keeps a line that has no end to itself", () => {
    const seen: unknown[] = [];
    const write = jsonLines((value) => void seen.push(value));
    write(Buffer.from('{"a":1}\n{"b":'));
    assert.deepEqual(seen, [{ a: 1 }]);
    write(Buffer.from("2}\n"));
    assert.deepEqual(seen, [{ a: 1 }, { b: 2 }]);
  });

  it("throws on what is no JSON", () => {
    assert.throws(() => jsonLines(() => {})(Buffer.from("<html>\n")), SyntaxError);
  });
});

describe("managedFields", () => {
  /** What a manager owns, with texts that look like the end of the list. */
  const owned = fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom("f:a", 'k:{"x":"}]"}', "}]", '"}]},{[')),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const managers = fc.array(fc.record({ manager: fc.string(), fieldsV1: owned }), { minLength: 1 });
  const objects = fc.record({ name: fc.string(), managers, spec: fc.jsonValue() });

  const read = (value: unknown) => {
    const seen: unknown[] = [];
    jsonLines((each) => void seen.push(each))(Buffer.from(`${JSON.stringify(value)}\n`));
    return seen[0];
  };

  it("are left out or whole, and all else is as it was sent", () => {
    fc.assert(
      fc.property(objects, ({ name, managers, spec }) => {
        const object = { metadata: { name, managedFields: managers }, spec, items: [{ spec }] };
        const { metadata, ...rest } = read(object) as typeof object;
        assert.deepEqual(rest, JSON.parse(JSON.stringify({ spec, items: [{ spec }] })));
        assert.equal(metadata.name, name);
        if (metadata.managedFields.length > 0) {
          assert.deepEqual(metadata.managedFields, JSON.parse(JSON.stringify(managers)));
        }
      }),
    );
  });

  it("of an object as the API server sends it are left out", () => {
    const fieldsV1 = { "f:spec": { "f:ports": { 'k:{"port":80,"protocol":"TCP"}': { ".": {} } } } };
    const managedFields = [
      { manager: "helm", fieldsV1 },
      { manager: "kubelet", fieldsV1 },
    ];
    const spec = { ports: [{ port: 80 }] };
    const sent = { metadata: { name: "a", managedFields }, spec };
    assert.deepEqual(read(sent), { metadata: { name: "a", managedFields: [] }, spec });
  });

  it("that are empty take nothing else along", () => {
    const sent = { metadata: { name: "a", managedFields: [] }, spec: { ports: [{ port: 80 }] } };
    assert.deepEqual(read(sent), sent);
  });
});

describe("jsonList", () => {
  const parts = fc.record({
    items: fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
    metadata: fc.dictionary(fc.string(), fc.jsonValue()),
    isLast: fc.boolean(),
    indent: fc.constantFrom(0, 2),
  });

  it("gives each item and then the rest, wherever the bytes are cut and whatever the order of fields", () => {
    fc.assert(
      fc.property(parts, sizes, ({ items, metadata, isLast, indent }, cuts) => {
        const list = isLast ? { metadata, items } : { items, kind: "L", metadata };
        const seen: unknown[] = [];
        const stream = jsonList((item) => void seen.push(item));
        for (const piece of pieces(JSON.stringify(list, undefined, indent), cuts)) {
          stream.write(piece);
        }
        assert.deepEqual(seen, JSON.parse(JSON.stringify(items)));
        assert.deepEqual(stream.end(), JSON.parse(JSON.stringify({ ...list, items: [] })));
      }),
    );
  });

  it("does not take a list of another name, nor one inside a text, for the items", () => {
    const seen: unknown[] = [];
    const stream = jsonList((item) => void seen.push(item));
    stream.write(
      Buffer.from('{"other":[{"a":1}],"text":"\\"items\\":[{","items":[{"items":[{}]}]}'),
    );
    assert.deepEqual(seen, [{ items: [{}] }]);
    assert.deepEqual(stream.end(), { other: [{ a: 1 }], text: '"items":[{', items: [] });
  });

  it("throws when the text ends in the middle", () => {
    const stream = jsonList(() => {});
    stream.write(Buffer.from('{"items":[{"a":1},{"b"'));
    assert.throws(() => stream.end(), /ends in the middle/);
  });
});
