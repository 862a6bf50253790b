//! Who asked to be told of what happens to a name, and what the library tells of it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pillarbox::{Deadline, Message, Notification, SendOnceRight};

use super::{Entry, Held, Mouth, PortRights, Request, Space, To, ToldAt};
use crate::codes::notify;
use crate::letter;
use crate::names::{NULL, Name};

impl Space {
    /// Somebody is to be told of the end of a name's port, or of room there.
    pub(crate) fn ask(&mut self, name: Name, to: SendOnceRight, room: bool) {
        self.begin_listening();
        let number = self.number;
        if let Some(entry) = self.names.get_mut(name) {
            entry.request = Some(Request { to, room, armed: false, news: None, number });
            if matches!(entry.held, Held::Once(_)) {
                self.asked.insert(name);
            }
            self.watch_anew(name);
        }
    }

    /// Draws the number of a request. Who waits since nobody had asked for anything hears
    /// from now on.
    fn begin_listening(&mut self) {
        self.number = self.number.wrapping_add(1).max(1);
        for mouth in std::mem::take(&mut self.waiting) {
            let _ = mouth.set.add(&self.events);
        }
    }

    /// The library is to tell us when to look at the name.
    pub(super) fn watch_anew(&mut self, name: Name) {
        let Some(Entry { held, request: Some(request) }) = self.names.get_mut(name) else { return };
        let number = u64::from(request.number) << 32 | u64::from(name);
        let Ok((to, news)) = self.events.make_news(number) else { return };
        let asked = match held {
            Held::Port(PortRights { send: Some(send), .. }) => send.notify_dead(to),
            Held::Once(right) => right.notify_unwanted(to),
            _ => return,
        };
        if asked.is_ok() {
            request.news = Some(news);
        }
    }

    /// Tells who asked when there is room at the port of a name.
    pub(crate) fn arm(&mut self, name: Name) {
        let Some(entry) = self.names.get_mut(name) else { return };
        let Some(request) = entry.request.as_mut().filter(|request| request.room) else { return };
        request.armed = true;
        let number = u64::from(request.number) << 32 | u64::from(name);
        match &entry.held {
            Held::Port(PortRights { send: Some(send), .. }) => {
                if let Ok((to, _)) = self.events.make_news(number) {
                    let _ = send.notify_room(to);
                }
            }
            // There is always room for what needs none.
            _ => self.tell_room(number),
        }
    }

    /// This task is to be told what becomes of a message that is left at the port of a name.
    /// Returns the right to leave it with, and what `forget_left` takes.
    pub(crate) fn expect_left(&mut self, name: Name) -> Option<(SendOnceRight, u32)> {
        self.begin_listening();
        let number = self.number;
        let news = u64::from(number) << 32 | u64::from(name);
        let (accepted, _) = self.events.make_news(news).ok()?;
        self.left.insert(number, name);
        Some((accepted, number))
    }

    /// Nothing was left: nobody is told anything.
    pub(crate) fn forget_left(&mut self, number: u32) {
        self.left.remove(&number);
    }

    /// Tells that a message that was left has been taken, or has ended with its port.
    fn tell_left(&mut self, taken: bool, name: Name) {
        let to = match &self.told_at {
            ToldAt::Nowhere => return,
            ToldAt::Port(right) => To::Port(right.clone()),
            ToldAt::Own => {
                let made = self.receive(self.notify).map(|notify| notify.right.make_send_once());
                let Ok(Ok(once)) = made else { return };
                To::Once(once)
            }
        };
        // A name that stands for the port no more is none.
        let stands = matches!(self.look(name), Some(Entry { held: Held::Port(_), .. }));
        let name = if stands { name } else { NULL };
        let id = if taken { notify::SEND_POSSIBLE } else { notify::SEND_ONCE };
        self.outbox.push((to, letter::notification(id, Some(name))));
    }

    fn tell_room(&mut self, number: u64) {
        let name = number as Name;
        if let Some(entry) = self.names.get_mut(name)
            && let Some(request) = entry.request.take_if(|request| {
                request.armed && request.room && u64::from(request.number) == number >> 32
            })
        {
            self.tell(request, notify::SEND_POSSIBLE, name);
        }
    }

    /// The name is dead already, and somebody asks to be told.
    pub(crate) fn tell_dead(&mut self, name: Name, to: SendOnceRight) {
        let _ = self.change_urefs(name, 1);
        self.outbox.push((To::Once(to), letter::notification(notify::DEAD_NAME, Some(name))));
    }

    /// Nobody is to be told any more. Returns who was.
    pub(crate) fn take_request(&mut self, name: Name) -> Option<SendOnceRight> {
        let request = self.names.get_mut(name)?.request.take()?;
        self.asked.remove(&name);
        if let Some(news) = &request.news {
            let _ = news.cancel();
        }
        Some(request.to)
    }

    // ---- what the library tells --------------------------------------------

    /// The library told something.
    pub(crate) fn heed(&mut self, news: &Message) {
        let Some(number) = news.completion() else { return };
        if let Some(name) = self.left.remove(&((number >> 32) as u32)) {
            let taken = news.notification() == Some(Notification::MessageAccepted);
            return self.tell_left(taken, name);
        }
        if news.notification() == Some(Notification::SendPossible) {
            self.tell_room(number);
        }
        self.settle(number as Name);
    }

    /// Reads what the library told and nobody has read.
    pub(crate) fn heed_all(&mut self) {
        if self.number == 0 {
            return;
        }
        while let Ok(news) = self.events.receive(Deadline::Now) {
            self.heed(&news);
        }
    }

    /// A thread is about to wait: it hears what the library tells.
    pub(crate) fn listen(&mut self, mouth: &Arc<Mouth>) {
        if mouth.listening.fetch_add(1, Relaxed) > 0 {
            return;
        }
        if self.number == 0 {
            self.waiting.push(Arc::clone(mouth));
        } else {
            let _ = mouth.set.add(&self.events);
        }
    }

    /// It waits no more.
    pub(crate) fn listen_no_more(&mut self, mouth: &Arc<Mouth>) {
        if mouth.listening.fetch_sub(1, Relaxed) > 1 {
            return;
        }
        match self.waiting.iter().position(|other| Arc::ptr_eq(other, mouth)) {
            Some(at) => drop(self.waiting.swap_remove(at)),
            None => drop(mouth.set.remove((&self.events).into())),
        }
    }
}
