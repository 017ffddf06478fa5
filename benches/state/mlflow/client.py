"""Two people with experiments, over the REST interface: runs, metrics, pages of runs, models."""

import sys

import requests


def person(url, number):
    session = requests.Session()

    def say(method, call, **values):
        where = f"{url}/api/2.0/mlflow/{call}"
        if method == "GET":
            return session.get(where, params=values).json()
        return session.post(where, json=values).json()

    experiment = say("POST", "experiments/create", name=f"churn-{number}")["experiment_id"]
    say("GET", "experiments/get", experiment_id=experiment)
    runs = []
    for trial in range(3):
        created = say("POST", "runs/create", experiment_id=experiment, run_name=f"trial {trial}")
        run = created["run"]["info"]["run_id"]
        runs.append(run)
        say("POST", "runs/log-parameter", run_id=run, key="depth", value=str(trial))
        say("POST", "runs/log-metric", run_id=run, key="auc", value=0.7, timestamp=1700000000000)
        say("GET", "runs/get", run_id=run)
        say("GET", "metrics/get-history", run_id=run, metric_key="auc")
        say("POST", "runs/update", run_id=run, status="FINISHED", end_time=1700000002000)
    page = {}
    while True:
        page = say("POST", "runs/search", experiment_ids=[experiment], max_results=2, **page)
        if "next_page_token" not in page:
            break
        page = {"page_token": page["next_page_token"]}
    model = f"model-{number}"
    say("POST", "registered-models/create", name=model)
    for run in runs[:2]:
        files = say("GET", "runs/get", run_id=run)["run"]["info"]["artifact_uri"]
        created = say("POST", "model-versions/create", name=model, source=f"{files}/model", run_id=run)
        version = created["model_version"]["version"]
        say("GET", "model-versions/get", name=model, version=version)
    say("GET", "model-versions/search", filter=f"run_id='{runs[0]}'")
    say("POST", "runs/delete", run_id=runs[2])
    say("POST", "experiments/delete", experiment_id=experiment)


for number in range(2):
    person(sys.argv[1], number)
