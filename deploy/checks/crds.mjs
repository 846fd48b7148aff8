// Validates what the schemas of Kubernetes itself do not know, in the files that are its arguments, against
// the schemas of the Prometheus Operator and the Gateway API: wrong types, missing and unknown fields.
// It prints a line for each bad object, and fails. Other kinds are left to kubernetes-validate.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Modules of this form do not look in NODE_PATH by themselves.
const { parseAllDocuments } = createRequire(import.meta.url)("yaml");
const load = (file) => import(pathToFileURL(join(process.env.NODE_PATH, "@kubernetes-models", file)));
const { PodMonitor, PrometheusRule } = await load("prometheus-operator/monitoring.coreos.com/v1/index.js");
const { HTTPRoute } = (await load("gateway-api/gateway.networking.k8s.io/v1/index.js")).default;
const models = { PodMonitor, PrometheusRule, HTTPRoute };

// The schemas let unknown fields pass, and an API server drops them without a word. So each field notes
// that a validator asked for it: one that nobody asked for is unknown.
function watch(value, path, unasked) {
    if (value === null || typeof value !== "object") return value;
    const watched = Array.isArray(value) ? [] : {};
    for (const key of Object.keys(value)) {
        if (!Array.isArray(value)) unasked.add(`${path}.${key}`);
        watched[key] = watch(value[key], `${path}.${key}`, unasked);
    }
    return new Proxy(watched, {
        get(target, key) {
            unasked.delete(`${path}.${String(key)}`);
            return target[key];
        },
    });
}

function complaint(document) {
    const model = new models[document.kind](document);
    const unasked = new Set();
    model.metadata = watch(document.metadata, "metadata", unasked);
    model.spec = watch(document.spec, "spec", unasked);
    try {
        if (document.apiVersion !== models[document.kind].apiVersion) throw Error("wrong apiVersion");
        model.validate();
    } catch (error) {
        return error.message;
    }
    return unasked.size > 0 && `unknown: ${[...unasked].join(", ")}`;
}

let checked = 0;
for (const parsed of process.argv.slice(2).flatMap((file) => parseAllDocuments(readFileSync(file, "utf8")))) {
    const document = parsed.toJS();
    if (!(document?.kind in models)) continue;
    checked += 1;
    const wrong = complaint(document);
    if (wrong) {
        process.exitCode = 1;
        console.error(`invalid: ${document.kind} ${document.metadata?.name}: ${wrong}`);
    }
}
console.log(`${checked} objects`);
