"""The baseline of `npm run bench -- classify`: TF-IDF of words and pairs of words with logistic regression, as scikit-learn has them.

Run: python tfidf.py WORKLOAD.json
Prints one JSON line: {"predicted": [class of each test row], "trainSeconds": s, "testSeconds": s, "peakBytes": n}
"""
import json, resource, sys, time
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

work = json.load(open(sys.argv[1]))
model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000))
start = time.perf_counter()
model.fit([r["text"] for r in work["train"]], [r["class"] for r in work["train"]])
trained = time.perf_counter()
predicted = model.predict([r["text"] for r in work["test"]]).tolist()
tested = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(dict(predicted=predicted, trainSeconds=trained - start, testSeconds=tested - trained, peakBytes=peak)))
