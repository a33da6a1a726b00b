// @ts-check
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root, runMain, StepError } from "./run.mjs";

/**
 * @typedef {object} SpdxPackage
 * @property {string} SPDXID
 * @property {string} name
 * @property {string} [packageFileName] for npm its folder
 *
 * @typedef {object} Relationship
 * @property {string} spdxElementId
 * @property {string} relatedSpdxElement
 * @property {string} relationshipType
 *
 * @typedef {{ packages: SpdxPackage[], relationships: Relationship[] }} Spdx
 */

/**
 * The bill of materials of an image in SPDX 2.3: npm's own, cut down to what a staged tree has, with the
 * Debian packages of the image and the Node.js of this process, which is that of the base.
 *
 * @param {{ tree: string, dpkgStatus: string }} options the tree of `npm run stage`; text of
 *   /var/lib/dpkg/status
 * @returns {Spdx}
 * @throws {StepError} when the image lacks libbpf1, so that the list cannot be that of the image
 */
export function billOfMaterials({ tree, dpkgStatus }) {
  const args = ["sbom", "--package-lock-only", "--omit=dev", "--sbom-format=spdx"];
  const text = execFileSync("npm", args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 });
  /** @type {Spdx} */
  const spdx = JSON.parse(text);
  const packages = spdx.packages.filter(({ packageFileName = "" }) =>
    existsSync(join(tree, packageFileName)),
  );
  const ids = new Set(["SPDXRef-DOCUMENT", ...packages.map(({ SPDXID }) => SPDXID)]);
  const relationships = spdx.relationships.filter(
    ({ spdxElementId, relatedSpdxElement }) =>
      ids.has(spdxElementId) && ids.has(relatedSpdxElement),
  );
  const system = [nodePackage(), ...debianPackages(dpkgStatus)];
  if (!system.some(({ name }) => name === "libbpf1")) {
    throw new StepError(
      "sbom: libbpf1 is not among the Debian packages; give the status of the image",
    );
  }
  const main = relationships.find((r) => r.relationshipType === "DESCRIBES")?.relatedSpdxElement;
  if (main === undefined) throw new StepError("sbom: npm sbom describes no package");
  return {
    ...spdx,
    packages: [...packages, ...system],
    relationships: [
      ...relationships,
      ...system.map(({ SPDXID }) => ({
        spdxElementId: main,
        relatedSpdxElement: SPDXID,
        relationshipType: "DEPENDS_ON",
      })),
    ],
  };
}

/** @param {string} dpkgStatus */
function debianPackages(dpkgStatus) {
  return dpkgStatus
    .split(/\n\n+/)
    .map((paragraph) => {
      const field = (/** @type {string} */ name) =>
        new RegExp(`^${name}: (.*)$`, "m").exec(paragraph)?.[1] ?? "";
      return {
        name: field("Package"),
        version: field("Version"),
        architecture: field("Architecture"),
        isInstalled: field("Status") === "install ok installed",
      };
    })
    .filter(({ isInstalled }) => isInstalled)
    .map(({ name, version, architecture }) =>
      systemPackage(
        name,
        version,
        `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}`,
      ),
    );
}

function nodePackage() {
  const { node } = process.versions;
  return systemPackage("node", node, `pkg:generic/node@${node}`);
}

/** @param {string} name @param {string} version @param {string} purl */
function systemPackage(name, version, purl) {
  return {
    name,
    SPDXID: `SPDXRef-System-${name.replaceAll(/[^A-Za-z0-9.-]/g, "-")}`,
    versionInfo: version,
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    licenseConcluded: "NOASSERTION",
    licenseDeclared: "NOASSERTION",
    copyrightText: "NOASSERTION",
    externalRefs: [
      { referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: purl },
    ],
  };
}

if (process.argv[1] === import.meta.filename) {
  runMain(async () => {
    const { values } = parseArgs({
      options: {
        tree: { type: "string" },
        "dpkg-status": { type: "string" },
        out: { type: "string" },
      },
    });
    const { tree, out, "dpkg-status": status } = values;
    if (tree === undefined || status === undefined || out === undefined) {
      throw new StepError("sbom: node scripts/sbom.mjs --tree DIR --dpkg-status FILE --out FILE");
    }
    const bill = billOfMaterials({
      tree: resolve(tree),
      dpkgStatus: await readFile(status, "utf8"),
    });
    await mkdir(dirname(resolve(out)), { recursive: true });
    await writeFile(out, `${JSON.stringify(bill, undefined, 2)}\n`);
    console.log(`sbom: ${out} lists ${bill.packages.length} packages`);
  });
}
