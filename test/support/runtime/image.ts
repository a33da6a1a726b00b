import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../../bin/container", import.meta.url));

/** Of the image of the tests, in which there is nothing but `test/kubernetes/containers`. */
export const imageName = "sluice.test/container:1";

const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
const manifestType = "application/vnd.oci.image.manifest.v1+json";

/** Writes the image as an OCI archive, which needs no registry; returns its path. */
export function writeImage(folder: string): string {
  const tree = join(folder, "tree");
  const layout = join(folder, "layout");
  const blobs = join(layout, "blobs", "sha256");
  for (const made of [tree, blobs]) mkdirSync(made, { recursive: true });
  copyFileSync(program, join(tree, "container"));
  chmodSync(join(tree, "container"), 0o755);

  const put = (content: Buffer | object, mediaType: string) => {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    const hash = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, hash), bytes);
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
  };
  const layer = put(tar(tree, "container"), "application/vnd.oci.image.layer.v1.tar");
  const config = put(
    {
      architecture: architectures[process.arch] ?? process.arch,
      os: "linux",
      config: { Entrypoint: ["/container"], Cmd: ["pause"] },
      rootfs: { type: "layers", diff_ids: [layer.digest] },
    },
    "application/vnd.oci.image.config.v1+json",
  );
  const manifest = put(
    { schemaVersion: 2, mediaType: manifestType, config, layers: [layer] },
    manifestType,
  );
  const annotations = { "io.containerd.image.name": imageName };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  writeFileSync(join(layout, "index.json"), JSON.stringify(index));
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  const archive = join(folder, "image.tar");
  writeFileSync(archive, tar(layout, "."));
  return archive;
}

function tar(folder: string, name: string): Buffer {
  const args = ["--create", "--owner=0", "--group=0", "--numeric-owner", "-C", folder, name];
  return execFileSync("tar", args, { maxBuffer: 64 * 1024 * 1024 });
}
