//! What must hold after every step.
//!
//! | module     | invariants | says                                            |
//! |------------|------------|-------------------------------------------------|
//! | [`census`] | I3, I7     | each right and each promise is in one place     |
//! | [`mail`]   | I4, I8     | each accepted message is in one place; limits   |
//! | [`facets`] | I10        | what was taken back is; nothing is used too often |
//! | [`moves`]  | I3         | each port has one receive right; who follows it   |
//! | [`replies`]| I7         | what a caller wants is what its holders read      |
//!
//! Order (I5) and double ends (I7) are seen where they happen, waits (I6) and
//! what is left over at the end of a run. Who blames an honest task breaks I2.

mod census;
mod facets;
mod mail;
mod moves;
mod replies;

use crate::world::World;

impl World {
    /// Looks at everything; keeps the first violation.
    pub(crate) fn check(&mut self) {
        let found =
            self.take_census().and_then(|()| self.find_mail()).and_then(|()| self.terms_hold());
        let found = found.and_then(|()| self.ports_are_somewhere());
        let found = found.and_then(|()| self.replies_agree());
        if let Err(violation) = found
            && self.violation.is_none()
        {
            self.violation = Some(violation);
        }
    }
}
