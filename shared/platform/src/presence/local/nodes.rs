//! The reports and answers within one process.

use super::LocalPresence;
use crate::presence::nodes::NodeReport;
use bytes::Bytes;
use uuid::Uuid;

/// Questions whose answers are kept. A question takes seconds, and few administrators ask at once.
const QUESTIONS: usize = 100;

impl LocalPresence {
    pub(in crate::presence) fn report(&self, report: &NodeReport) {
        let key = (report.kind, report.node);
        self.0.lock().reports.insert(key, report.clone());
    }

    pub(in crate::presence) fn nodes(&self) -> Vec<NodeReport> {
        self.0.lock().reports.values().cloned().collect()
    }

    pub(in crate::presence) fn answer(&self, question: Uuid, answer: Bytes) {
        let mut inner = self.0.lock();
        if inner.answers.len() >= QUESTIONS {
            inner.answers.pop_front();
        }
        inner.answers.push_back((question, answer));
    }

    pub(in crate::presence) fn answers(&self, question: Uuid) -> Vec<Bytes> {
        let inner = self.0.lock();
        let answers = inner.answers.iter().filter(|(to, _)| *to == question);
        answers.map(|(_, answer)| answer.clone()).collect()
    }
}
