import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  closeFd,
  type LinkInfo,
  linkInfo,
  listLinks,
  listMaps,
  listPrograms,
  mapInfo,
  openPin,
} from "../../datapath/index.js";

/** What the pins of an agent hold in the kernel. */
export interface Pinned {
  readonly links: readonly LinkInfo[];
  readonly mapIds: readonly number[];
}

/** Opens all pins of an agent's pin root; throws when it has no link or no map. */
export function readPins(pinRoot: string): Pinned {
  const paths = readdirSync(pinRoot, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const links = paths
    .filter((path) => path.startsWith(join(pinRoot, "links", "/")))
    .map((path) => read(openPin(path, "link"), linkInfo));
  const mapIds = paths
    .filter((path) => path.includes("/maps/"))
    .map((path) => read(openPin(path, "map"), mapInfo).id);
  if (links.length === 0 || mapIds.length === 0) throw new Error(`${pinRoot} has no pins`);
  return { links, mapIds };
}

/** Which of these the kernel still has, in words; empty when all have gone. */
export function stillThere({ links, mapIds }: Pinned): readonly string[] {
  const left = {
    link: idsIn(listLinks(), new Set(links.map(({ id }) => id))),
    program: idsIn(listPrograms(), new Set(links.map(({ programId }) => programId))),
    map: idsIn(listMaps(), new Set(mapIds)),
  };
  return Object.entries(left).flatMap(([kind, ids]) => ids.map((id) => `${kind} ${id}`));
}

function idsIn(
  all: readonly { readonly id: number }[],
  wanted: ReadonlySet<number>,
): readonly number[] {
  return all.map(({ id }) => id).filter((id) => wanted.has(id));
}

function read<Fd extends Parameters<typeof closeFd>[0], Info>(
  fd: Fd,
  info: (fd: Fd) => Info,
): Info {
  try {
    return info(fd);
  } finally {
    closeFd(fd);
  }
}
