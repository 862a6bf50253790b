//! Models without one of their steps, which must come to a standstill.
//!
//! A file that has some has a test `a_twin`, which runs the one it is asked for.

/// The variable that asks for a model without one step.
const TWIN: &str = "PILLARBOX_TWIN";

/// Which step is to be left out, where this process is to run such a model.
pub(crate) fn asked() -> Option<String> {
    std::env::var(TWIN).ok()
}

/// Runs the model without a step in a process of its own: loom cannot take down
/// a model in which threads are asleep, and aborts.
pub(crate) fn comes_to_a_standstill(step: &str) {
    let own = std::env::current_exe().unwrap();
    let mut twin = std::process::Command::new(own);
    twin.args(["--exact", "a_twin", "--nocapture"]).env(TWIN, step);
    let output = twin.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("deadlock"), "without {step}: {said}");
}
