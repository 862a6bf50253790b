//! What few messages have: it lies apart, so that the others are small. A message is
//! moved several times between who makes it and who looks at it.

use super::{Descriptor, Message};
use crate::call::CallNote;
use crate::membrane::Within;
use crate::region::Region;
use crate::right::SendOnceRight;

/// What few messages have.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    descriptors: Vec<Descriptor>,
    regions: Vec<Region>,
    within: Option<Within>,
    accepted: Option<SendOnceRight>,
    note: Option<CallNote>,
}

impl Aside {
    fn is_light(&self) -> bool {
        self.descriptors.is_empty() && self.within.is_none() && self.accepted.is_none()
    }
}

impl Message {
    /// Whether nothing of that was ever put into it.
    #[inline]
    pub(crate) fn has_nothing_aside(&self) -> bool {
        self.aside.is_none()
    }

    /// Whether nothing of that goes with it to another task.
    #[inline]
    pub(crate) fn brings_nothing_aside(&self) -> bool {
        self.aside.as_ref().is_none_or(|aside| aside.regions.is_empty() && aside.is_light())
    }

    /// Whether nothing but regions does.
    pub(crate) fn brings_regions_alone(&self) -> bool {
        self.aside.as_ref().is_none_or(|aside| aside.is_light())
    }

    fn aside_mut(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// The same message carrying one region more.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<Region>) -> Self {
        self.aside_mut().regions.push(region.into());
        self
    }

    /// The regions, in the order they were put in.
    pub fn regions(&self) -> &[Region] {
        self.aside.as_ref().map_or(&[], |aside| &aside.regions)
    }

    /// The regions, taken out. What a sender lends goes back to it when the region is
    /// dropped, by any thread.
    pub fn take_regions(&mut self) -> Vec<Region> {
        self.aside.as_mut().map(|aside| std::mem::take(&mut aside.regions)).unwrap_or_default()
    }

    /// The regions that came with it.
    pub(crate) fn put_regions(&mut self, regions: Vec<Region>) {
        if !regions.is_empty() || self.aside.is_some() {
            self.aside_mut().regions = regions;
        }
    }

    /// The descriptors, in the order they were put in.
    pub fn descriptors(&self) -> &[Descriptor] {
        self.aside.as_ref().map_or(&[], |aside| &aside.descriptors)
    }

    /// The descriptors, taken out.
    pub fn take_descriptors(&mut self) -> Vec<Descriptor> {
        self.aside.as_mut().map(|aside| std::mem::take(&mut aside.descriptors)).unwrap_or_default()
    }

    /// One descriptor more.
    pub(crate) fn push_descriptor(&mut self, descriptor: Descriptor) {
        self.aside_mut().descriptors.push(descriptor);
    }

    /// The descriptors that came with it.
    pub(crate) fn put_descriptors(&mut self, descriptors: Vec<Descriptor>) {
        if !descriptors.is_empty() || self.aside.is_some() {
            self.aside_mut().descriptors = descriptors;
        }
    }

    /// The membranes it comes in through, until it is taken from the queue; on its
    /// way out, those it goes out through.
    pub(crate) fn within(&self) -> Option<&Within> {
        self.aside.as_ref()?.within.as_ref()
    }

    pub(crate) fn put_within(&mut self, within: Option<Within>) {
        if within.is_some() || self.aside.is_some() {
            self.aside_mut().within = within;
        }
    }

    pub(crate) fn take_within(&mut self) -> Option<Within> {
        self.aside.as_mut()?.within.take()
    }

    /// The same message in the membranes it was in before.
    pub(crate) fn back_within(mut self, within: Option<Within>) -> Self {
        self.put_within(within);
        self
    }

    /// Who is told that it was taken, where it was left with a full port.
    pub(crate) fn accepted(&self) -> Option<&SendOnceRight> {
        self.aside.as_ref()?.accepted.as_ref()
    }

    pub(crate) fn accepted_mut(&mut self) -> Option<&mut SendOnceRight> {
        self.aside.as_mut()?.accepted.as_mut()
    }

    pub(crate) fn put_accepted(&mut self, accepted: Option<SendOnceRight>) {
        if accepted.is_some() || self.aside.is_some() {
            self.aside_mut().accepted = accepted;
        }
    }

    pub(crate) fn take_accepted(&mut self) -> Option<SendOnceRight> {
        self.aside.as_mut()?.accepted.take()
    }

    /// Of a call it belongs to.
    pub(crate) fn note(&self) -> Option<CallNote> {
        self.aside.as_ref()?.note
    }

    pub(crate) fn put_note(&mut self, note: CallNote) {
        self.aside_mut().note = Some(note);
    }

    /// All of it but who is told that the message was taken, for a part of the message
    /// that is no body.
    pub(super) fn take_aside(&mut self) -> Option<Box<Aside>> {
        let mut aside = self.aside.take()?;
        self.put_accepted(aside.accepted.take());
        Some(aside)
    }
}
