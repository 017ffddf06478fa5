// Checks objects of custom resources (YAML files) against the schemas of their definitions, as @kubernetes-models has them.
//
//   node models.mjs NODE_MODULES FILE…
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2);
const yaml = createRequire(`${resolve(modules)}/`)("js-yaml");
const PACKAGES = { "argoproj.io": "argo-rollouts", "networking.istio.io": "istio", "monitoring.coreos.com": "prometheus-operator" };
// Of the packages' versions; Istio's v1 has the fields of v1beta1.
const VERSIONS = { "networking.istio.io/v1": "v1beta1" };
let wrong = 0;
for (const object of files.flatMap((file) => yaml.loadAll(readFileSync(file, "utf8")))) {
  const [group, own] = object.apiVersion.split("/");
  const version = VERSIONS[object.apiVersion] ?? own;
  const folder = resolve(modules, "@kubernetes-models", PACKAGES[group], group, version);
  const index = ["index.mjs", "index.js"].map((name) => resolve(folder, name)).find(existsSync);
  const models = await import(pathToFileURL(index));
  try {
    new models[object.kind]({ ...object, apiVersion: `${group}/${version}` }).validate();
    console.log(`ok   ${object.apiVersion} ${object.kind} ${object.metadata.name}`);
  } catch (error) {
    wrong += 1;
    console.log(`FAIL ${object.apiVersion} ${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}
process.exit(wrong ? 1 : 0);
