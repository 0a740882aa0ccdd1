/**
 * The part of the WebAssembly API that the emulator uses. Node has it, but neither the ES libraries of
 * TypeScript nor @types/node 20 declare it, and the DOM library would bring a browser along.
 */
declare namespace WebAssembly {
  type ExportValue = object;
  type Exports = Readonly<Record<string, ExportValue | undefined>>;
  type Imports = Record<string, Record<string, object>>;

  interface ModuleImportDescriptor {
    readonly module: string;
    readonly name: string;
    readonly kind: "function" | "table" | "memory" | "global" | "tag";
  }

  interface ModuleExportDescriptor {
    readonly name: string;
    readonly kind: "function" | "table" | "memory" | "global" | "tag";
  }

  class Module {
    constructor(bytes: Uint8Array);
    static imports(module: Module): ModuleImportDescriptor[];
    static exports(module: Module): ModuleExportDescriptor[];
  }

  class Instance {
    constructor(module: Module, imports: Imports);
    readonly exports: Exports;
  }

  class Memory {
    constructor(descriptor: { initial: number });
    readonly buffer: ArrayBuffer;
  }

  class RuntimeError extends Error {}

  function compile(bytes: Uint8Array): Promise<Module>;
}
