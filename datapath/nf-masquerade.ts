import { attribute, nested, stringAttribute } from "./netlink-attributes.js";
import { MessageFlag, parseAttributes } from "./netlink-message.js";
import {
  expression,
  listAttribute,
  NfFamily,
  nfList,
  NfMessage,
  nfTransaction,
  type NfStep,
  numberAttribute,
  parseList,
} from "./nf-tables.js";

/** `NFTA_…` attributes. */
const Table = { name: 1 } as const;
const Chain = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const;
const Hook = { number: 1, priority: 2 } as const;
const Rule = { table: 1, chain: 2, expressions: 4, userData: 7 } as const;
const SetAttribute = { table: 1, name: 2, flags: 3, keyType: 4, keyBytes: 5, id: 10 } as const;
const Elements = { table: 1, set: 2, elements: 3 } as const;
const Element = { key: 1, flags: 3 } as const;
const dataValue = 1;

const postrouting = 4;
/** Where source addresses are translated by custom: srcnat. */
const sourceNat = 100;
const policyAccept = 1;
const intervals = 4;
const intervalEnd = 1;
const elementsPerMessage = 1000;
const register = 1;
const metaProtocol = 15;
const networkHeader = 1;
const inverted = 1;
/** NF_NAT_RANGE_PROTO_RANDOM_FULLY: two connections at once do not want the same port. */
const randomPorts = 0x10;
const commentType = 0;

const chainName = "postrouting";

/** Addresses from the first to the last, in network order. */
export interface AddressRange {
  readonly first: Buffer;
  readonly last: Buffer;
}

/** Packets of one family that get the address of this node: from the sources, and not to the exceptions. */
export interface Masquerade {
  readonly family: 4 | 6;
  /** Sorted, and without an address in common. */
  readonly sources: readonly AddressRange[];
  readonly exceptions: readonly AddressRange[];
}

const families = {
  4: { protocol: NfFamily.ipv4, keyType: 7, bytes: 4, sourceAt: 12, destinationAt: 16 },
  6: { protocol: NfFamily.ipv6, keyType: 8, bytes: 16, sourceAt: 8, destinationAt: 24 },
} as const;

/**
 * Writes a table of the family `inet` that translates source addresses, in place of the one of this name, at one moment.
 * Connections that are translated stay as they are.
 *
 * @param comment of each rule, by which {@link readMasquerade} tells what was written; at most 120 bytes
 * @throws SluiceError SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function writeMasquerade(
  table: string,
  rules: readonly Masquerade[],
  comment: string,
): void {
  const steps: NfStep[] = [
    ...deletion(table),
    step(NfMessage.newTable, [stringAttribute(Table.name, table)]),
    step(NfMessage.newChain, [
      stringAttribute(Chain.table, table),
      stringAttribute(Chain.name, chainName),
      nested(Chain.hook, [
        numberAttribute(Hook.number, postrouting),
        numberAttribute(Hook.priority, sourceNat),
      ]),
      numberAttribute(Chain.policy, policyAccept),
      stringAttribute(Chain.type, "nat"),
    ]),
  ];
  let id = 0;
  for (const rule of rules) {
    for (const { name, ranges } of setsOf(rule)) {
      steps.push(newSet(table, name, rule.family, ++id), ...newElements(table, name, ranges));
    }
    steps.push(newRule(table, rule, comment));
  }
  nfTransaction(steps, `write nftables table ${table}`);
}

/**
 * Deletes a table of the family `inet`, if there is one of this name.
 *
 * @throws SluiceError SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function deleteNfTable(table: string): void {
  nfTransaction(deletion(table), `delete nftables table ${table}`);
}

/** Whether there is a table of this name. */
export function hasNfTable(table: string): boolean {
  return nfList(NfMessage.getTable, [], "list the nftables tables").some(
    (attributes) => text(attributes.get(Table.name)) === table,
  );
}

/** Whether the kernel has exactly what was written with the comment. */
export function isMasquerade(
  table: string,
  rules: readonly Masquerade[],
  comment: string,
): boolean {
  const tried = `read nftables table ${table}`;
  const named = [stringAttribute(Rule.table, table)];
  const found = nfList(NfMessage.getRule, named, tried)
    .filter((attributes) => text(attributes.get(Rule.table)) === table)
    .map((attributes) => attributes.get(Rule.userData)?.toString("hex"));
  const wanted = userData(comment).toString("hex");
  if (found.length !== rules.length || found.some((one) => one !== wanted)) return false;
  return rules.flatMap(setsOf).every(({ name, ranges }) => {
    const inKernel = listElements(table, name, tried);
    return inKernel.size === ranges.length && ranges.every((range) => inKernel.has(keyOf(range)));
  });
}

/** Ranges of a set as text. */
function listElements(table: string, set: string, tried: string): ReadonlySet<string> {
  const named = [stringAttribute(Elements.table, table), stringAttribute(Elements.set, set)];
  const points = nfList(NfMessage.getElements, named, tried)
    .flatMap((attributes) => [...parseList(attributes.get(Elements.elements) ?? Buffer.alloc(0))])
    .map((element) => {
      const key = parseAttributes(element.get(Element.key) ?? Buffer.alloc(0)).get(dataValue);
      const flags = element.get(Element.flags)?.readUInt32BE() ?? 0;
      return { key: key?.toString("hex") ?? "", isEnd: (flags & intervalEnd) !== 0 };
    })
    // The end of a range is the address behind it, where the next may begin.
    .sort((left, right) =>
      left.key === right.key
        ? Number(right.isEnd) - Number(left.isEnd)
        : left.key < right.key
          ? -1
          : 1,
    );
  const ranges = new Set<string>();
  points.forEach(({ key, isEnd }, index) => {
    const next = points[index + 1];
    if (!isEnd) ranges.add(`${key}-${next?.isEnd === true ? next.key : ""}`);
  });
  return ranges;
}

function keyOf(range: AddressRange): string {
  return `${range.first.toString("hex")}-${behind(range.last)?.toString("hex") ?? ""}`;
}

function text(bytes: Buffer | undefined): string | undefined {
  return bytes?.toString("utf8").replace(/\0.*$/s, "");
}

/** Of a table that need not be there. */
function deletion(table: string): readonly NfStep[] {
  const name = [stringAttribute(Table.name, table)];
  return [step(NfMessage.newTable, name), step(NfMessage.deleteTable, name)];
}

function step(type: number, attributes: readonly Uint8Array[]): NfStep {
  const flags = type === NfMessage.deleteTable ? 0 : MessageFlag.create;
  return { type, flags, attributes };
}

function setsOf({ family, sources, exceptions }: Masquerade) {
  return [
    { name: `pods${family}`, ranges: sources },
    { name: `exceptions${family}`, ranges: exceptions },
  ];
}

function newSet(table: string, name: string, family: 4 | 6, id: number): NfStep {
  const { keyType, bytes } = families[family];
  return step(NfMessage.newSet, [
    stringAttribute(SetAttribute.table, table),
    stringAttribute(SetAttribute.name, name),
    numberAttribute(SetAttribute.flags, intervals),
    numberAttribute(SetAttribute.keyType, keyType),
    numberAttribute(SetAttribute.keyBytes, bytes),
    numberAttribute(SetAttribute.id, id),
  ]);
}

function newElements(
  table: string,
  set: string,
  ranges: readonly AddressRange[],
): readonly NfStep[] {
  const elements = ranges.flatMap(({ first, last }) => {
    const end = behind(last);
    const point = (key: Buffer) => nested(Element.key, [attribute(dataValue, key)]);
    const begins = [point(first)];
    // One that goes to the last address of all has no end.
    return end === undefined
      ? [begins]
      : [begins, [point(end), numberAttribute(Element.flags, intervalEnd)]];
  });
  const steps: NfStep[] = [];
  for (let at = 0; at < elements.length; at += elementsPerMessage) {
    steps.push(
      step(NfMessage.newElements, [
        stringAttribute(Elements.table, table),
        stringAttribute(Elements.set, set),
        listAttribute(Elements.elements, elements.slice(at, at + elementsPerMessage)),
      ]),
    );
  }
  return steps;
}

/** The address after one; undefined after the last. */
function behind(address: Buffer): Buffer | undefined {
  const next = Buffer.from(address);
  for (let at = next.length - 1; at >= 0; at--) {
    next[at] = ((next[at] ?? 0) + 1) & 255;
    if (next[at] !== 0) return next;
  }
  return undefined;
}

/** `meta nfproto F ip saddr @pods ip daddr != @exceptions masquerade fully-random` */
function newRule(table: string, { family }: Masquerade, comment: string): NfStep {
  const { protocol, bytes, sourceAt, destinationAt } = families[family];
  const load = (at: number) =>
    expression("payload", [
      numberAttribute(1, register),
      numberAttribute(2, networkHeader),
      numberAttribute(3, at),
      numberAttribute(4, bytes),
    ]);
  const lookUp = (set: string, more: readonly Uint8Array[] = []) =>
    expression("lookup", [stringAttribute(1, set), numberAttribute(2, register), ...more]);
  return {
    type: NfMessage.newRule,
    flags: MessageFlag.create | MessageFlag.append,
    attributes: [
      stringAttribute(Rule.table, table),
      stringAttribute(Rule.chain, chainName),
      listAttribute(Rule.expressions, [
        expression("meta", [numberAttribute(1, register), numberAttribute(2, metaProtocol)]),
        expression("cmp", [
          numberAttribute(1, register),
          numberAttribute(2, 0),
          nested(3, [attribute(dataValue, Buffer.from([protocol]))]),
        ]),
        load(sourceAt),
        lookUp(`pods${family}`),
        load(destinationAt),
        lookUp(`exceptions${family}`, [numberAttribute(5, inverted)]),
        expression("masq", [numberAttribute(1, randomPorts)]),
      ]),
      attribute(Rule.userData, userData(comment)),
    ],
  };
}

/** As nft(8) writes and shows comments. */
function userData(comment: string): Buffer {
  const bytes = Buffer.from(`${comment}\0`);
  return Buffer.concat([Buffer.from([commentType, bytes.length]), bytes]);
}
