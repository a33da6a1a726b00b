import { fileURLToPath } from "node:url";
import type { TestContext } from "node:test";
import { closeFd } from "../../datapath/handles.js";
import { MappedArray } from "../../datapath/mmap.js";
import { BpfObject } from "../../datapath/object.js";
import type { Program } from "../../datapath/programs.js";

/** Path of a compiled object: `x` for `x.bpf.c`. */
export function objectPath(name: string): string {
  return fileURLToPath(new URL(`../../bpf/${name}.o`, import.meta.url));
}

/** Opens and loads an object, and closes it after the test. */
export async function loadObject(context: TestContext, name: string): Promise<BpfObject> {
  const object = BpfObject.open(objectPath(name));
  context.after(() => object.close());
  await object.load();
  return object;
}

/** Maps an array of a loaded object, and unmaps it after the test. */
export function mapArray(context: TestContext, object: BpfObject, name: string): MappedArray {
  const fd = object.takeMap(name);
  try {
    const array = new MappedArray(fd);
    context.after(() => array.close());
    return array;
  } finally {
    closeFd(fd);
  }
}

/** Loads one program of an object, and closes it after the test. */
export async function loadProgram(
  context: TestContext,
  name: string,
  program: string,
): Promise<Program> {
  const object = BpfObject.open(objectPath(name));
  try {
    object.selectPrograms([program]);
    await object.load();
    const taken = object.takeProgram(program);
    context.after(() => taken.close());
    return taken;
  } finally {
    object.close();
  }
}
