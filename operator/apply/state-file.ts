import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SluiceError } from "../errors.js";

/** A small JSON file that survives a crash at any moment: written beside, then renamed. */
export class StateFile<T> {
  readonly #path: string;

  constructor(folder: string, name: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#path = join(folder, name);
  }

  /** Undefined when it was never written. @throws SluiceError SLUICE_STATE_FILE */
  read(): T | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw this.#error("cannot be read", error);
    }
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw this.#error("is not JSON", error);
    }
  }

  write(value: T): void {
    const fresh = `${this.#path}.new`;
    try {
      writeFileSync(fresh, `${JSON.stringify(value)}\n`, { mode: 0o600 });
      renameSync(fresh, this.#path);
    } catch (error) {
      throw this.#error("cannot be written", error);
    }
  }

  #error(what: string, cause: unknown): SluiceError {
    return new SluiceError("SLUICE_STATE_FILE", `the state file ${this.#path} ${what}`, {
      remedy: "Check the folder given by --state-folder, or remove the file",
      cause,
    });
  }
}
