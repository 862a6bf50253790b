//! Asking the bootstrap server, as futures.

use super::{
    Answered, Bootstrap, BootstrapError, Listing, Request, Service, again, done, found, question,
    read,
};
use crate::port::ReceiveRight;
use crate::right::SendRight;

impl Bootstrap {
    /// Says that the service `name` is ready and reads `port`, as
    /// [`Bootstrap::check_in`] does, without a thread that waits.
    ///
    /// # Rights
    /// Makes a send right to `port`.
    ///
    /// # Errors
    /// As [`Bootstrap::check_in`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Bootstrap::look_up_async`].
    pub async fn check_in_async(
        &self,
        name: &str,
        port: &ReceiveRight,
    ) -> Result<(), BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let right = port.make_send().map_err(BootstrapError::Unsent)?;
        let request = Request::CheckIn { name: name.to_owned() };
        done(self.ask_seen_async(name, &request, Some(right)).await?)
    }

    /// Says that the service is ready to read a queue that the server keeps, as
    /// [`Bootstrap::attend`] does, without a thread that waits.
    ///
    /// # Rights
    /// The reader right is this task's.
    ///
    /// # Errors
    /// As [`Bootstrap::attend`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Bootstrap::look_up_async`].
    pub async fn attend_async(&self, name: &str) -> Result<SendRight, BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let request = Request::Attend { name: name.to_owned() };
        found(self.ask_seen_async(name, &request, None).await?)
    }

    /// Puts any send right under a name, as
    /// [`Bootstrap::register`] does, without a thread that waits.
    ///
    /// # Rights
    /// Gives `right` to the server.
    ///
    /// # Errors
    /// As [`Bootstrap::register`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Bootstrap::look_up_async`].
    pub async fn register_async(&self, name: &str, right: SendRight) -> Result<(), BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let request = Request::Register { name: name.to_owned() };
        done(self.ask_seen_async(name, &request, Some(right)).await?)
    }

    /// Frees a name that this task checked in or registered, as
    /// [`Bootstrap::unregister`] does, without a thread that waits.
    ///
    /// # Rights
    /// The server lets the right go.
    ///
    /// # Errors
    /// As [`Bootstrap::unregister`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Bootstrap::look_up_async`].
    pub async fn unregister_async(&self, name: &str) -> Result<(), BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let request = Request::Unregister { name: name.to_owned() };
        done(self.ask_async(name, &request).await?)
    }

    /// A send right to the service `name`, which is started and waited for if it can
    /// be, as [`Bootstrap::look_up`] does, without a thread that waits.
    ///
    /// # Rights
    /// The right is this task's.
    ///
    /// # Errors
    /// As [`Bootstrap::look_up`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`SendRight::call_async`]: dropped before it is ready, nobody waits for the
    /// answer, and whether the server was asked, and did it, is not told.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::Bootstrap;
    /// use pillarbox::Message;
    ///
    /// async fn greet(server: &Bootstrap) -> Result<(), Box<dyn std::error::Error>> {
    ///     let echo = server.look_up_async("com.example.echo").await?;
    ///     echo.send_async(Message::new("hello")).await?;
    ///     Ok(())
    /// }
    /// # let _ = greet;
    /// ```
    pub async fn look_up_async(&self, name: &str) -> Result<SendRight, BootstrapError> {
        self.find_async(name, true).await
    }

    /// A send right to the service `name` if it is running now, as
    /// [`Bootstrap::look_up_running`] does, without a thread that waits.
    ///
    /// # Rights
    /// The right is this task's.
    ///
    /// # Errors
    /// As [`Bootstrap::look_up_running`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Bootstrap::look_up_async`].
    pub async fn look_up_running_async(&self, name: &str) -> Result<SendRight, BootstrapError> {
        self.find_async(name, false).await
    }

    async fn find_async(&self, name: &str, start: bool) -> Result<SendRight, BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let request = Request::LookUp { name: name.to_owned(), start, wait_ns: None };
        found(self.ask_async(name, &request).await?)
    }

    /// Every name this right can see, with a send right to each that is running, as
    /// [`Bootstrap::list`] does, without a thread that waits.
    ///
    /// # Rights
    /// The rights are this task's.
    ///
    /// # Errors
    /// As [`Bootstrap::list`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Bootstrap::look_up_async`].
    pub async fn list_async(&self) -> Result<Vec<(Service, Option<SendRight>)>, BootstrapError> {
        let mut listing = Listing::default();
        loop {
            let answered = self.ask_async("", &listing.next()).await?;
            if !listing.goes_on(answered)? {
                return Ok(listing.all);
            }
        }
    }

    /// Asks the server to end, as
    /// [`Bootstrap::stop`] does, without a thread that waits.
    ///
    /// # Rights
    /// Borrows the right.
    ///
    /// # Errors
    /// As [`Bootstrap::stop`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// As [`Bootstrap::look_up_async`].
    pub async fn stop_async(&self) -> Result<(), BootstrapError> {
        done(self.ask_async("", &Request::Stop).await?)
    }

    pub(super) async fn ask_async(
        &self,
        name: &str,
        request: &Request,
    ) -> Result<Answered, BootstrapError> {
        let mut asked = 0;
        loop {
            let answered = read(name, self.right.call_async(question(request)?).await);
            if !again(&answered, &mut asked) {
                return answered;
            }
        }
    }

    async fn ask_seen_async(
        &self,
        name: &str,
        request: &Request,
        right: Option<SendRight>,
    ) -> Result<Answered, BootstrapError> {
        let mut asked = 0;
        loop {
            let message = self.seen(request, right.clone())?;
            let answered = read(name, self.right.call_async(message).await);
            if !again(&answered, &mut asked) {
                return answered;
            }
        }
    }
}
