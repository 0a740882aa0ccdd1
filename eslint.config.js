import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

// filter/ and bench/peers/ are AssemblyScript, whose decorated functions ESLint cannot parse: tsc, asc and test/tree look after it.
export default defineConfig(
  globalIgnores(["build/", "coverage/", "filter/", "bench/peers/"]),
  { linterOptions: { reportUnusedDisableDirectives: "error", reportUnusedInlineConfigs: "error" } },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: "error",
      "no-console": "error",
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],

      // Each of these as strict as it comes, but for one idiom.
      "@typescript-eslint/dot-notation": ["error", { allowIndexSignaturePropertyAccess: true }],
      "@typescript-eslint/no-confusing-void-expression": [
        "error",
        { ignoreArrowShorthand: true, ignoreVoidOperator: true, ignoreVoidReturningFunctions: true },
      ],
      "@typescript-eslint/no-meaningless-void-operator": "off", // `void stream.write(…)`
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", ignoreRestSiblings: true }],
      "@typescript-eslint/prefer-nullish-coalescing": ["error", { ignorePrimitives: { string: true } }], // an empty variable is none
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/non-nullable-type-assertion-style": "off", // it asks for `!`, which is forbidden
    },
  },
  {
    files: ["shim/**/*.ts", "test/**/*.ts", "bench/**/*.ts"],
    rules: {
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "Export by name." },
        { selector: "ExportSpecifier[exported.name='default']", message: "Export by name." },
      ],
    },
  },
  {
    // Declarations of what others wrote.
    files: ["**/*.d.ts"],
    rules: { "@typescript-eslint/no-extraneous-class": "off", "no-restricted-syntax": "off" },
  },
);
