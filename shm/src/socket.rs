//! The socket of a link: bells, descriptors, who is there, and death.
//!
//! `SOCK_SEQPACKET`, never blocking, closed on exec and in a forked child. Both
//! ends ask the kernel to say who sent each packet before anything is sent; a
//! peer cannot say it itself.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use abi::right::Address;
use rustix::io::{Errno, IoSlice};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};

use crate::fork::Fd;
pub use crate::packet::Received;
use crate::packet::{self, PACKET_DESCRIPTORS};
use crate::refuse::{self, Call};
use crate::who;
pub use crate::who::{Credentials, own_credentials, own_process, sure_process};

/// The packet that is only a bell.
pub const BELL: [u8; 1] = [0];

const BIRTH: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Our end of the socket of one link.
#[derive(Debug)]
pub struct LinkSocket {
    fd: Fd,
}

/// Why a packet was not sent. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum SendPacketError {
    /// The peer's queue is full now.
    #[error("the peer's socket is full")]
    Full,
    /// Too many descriptors of our user are on their way somewhere. The kernel
    /// counts them per user, so this need not be our doing.
    #[error("too many descriptors of this user are in flight")]
    TooManyInFlight,
    /// The peer has closed its end, or is dead.
    #[error("the peer is gone")]
    Gone,
    /// The system could not send it.
    #[error("the packet could not be sent")]
    System(#[source] io::Error),
}

impl LinkSocket {
    /// Makes a connected pair: our end, and the one for a child.
    ///
    /// # Errors
    /// What the system says.
    pub fn pair() -> io::Result<(LinkSocket, OwnedFd)> {
        refuse::at(Call::SocketPair)?;
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, BIRTH, None)?;
        packet::ask_who(ours.as_fd())?;
        packet::ask_who(theirs.as_fd())?;
        Ok((LinkSocket { fd: Fd::new(ours)? }, theirs))
    }

    /// Connects to a task that listens at `address`, an abstract name.
    ///
    /// # Errors
    /// What the system says: `ConnectionRefused` where nobody listens,
    /// `WouldBlock` where too many wait to be accepted.
    pub fn connect(address: &Address) -> io::Result<LinkSocket> {
        LinkSocket::connect_to(&SocketAddrUnix::new_abstract_name(address.name())?)
    }

    /// Connects to a task that listens at a place in the file system.
    ///
    /// # Errors
    /// As for [`connect`](LinkSocket::connect), and `NotFound`.
    pub fn connect_path(path: &Path) -> io::Result<LinkSocket> {
        LinkSocket::connect_to(&SocketAddrUnix::new(path)?).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied if who::leads_through_the_dead(path) => {
                io::ErrorKind::NotFound.into()
            }
            _ => error,
        })
    }

    fn connect_to(address: &SocketAddrUnix) -> io::Result<LinkSocket> {
        let fd = unconnected()?;
        rustix::io::retry_on_intr(|| {
            refuse::at(Call::Connect)?;
            rustix::net::connect(&fd, address)
        })?;
        Ok(LinkSocket { fd: Fd::new(fd)? })
    }

    /// Takes a connected socket that was made elsewhere. What was sent to it
    /// before this, unless its maker had asked, came from nobody.
    ///
    /// # Errors
    /// `InvalidInput` where it is not a `SOCK_SEQPACKET` UNIX socket.
    pub fn from_fd(fd: OwnedFd) -> io::Result<LinkSocket> {
        let right = rustix::net::sockopt::socket_domain(&fd) == Ok(AddressFamily::UNIX)
            && rustix::net::sockopt::socket_type(&fd) == Ok(SocketType::SEQPACKET);
        if !right {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        packet::ask_who(fd.as_fd())?;
        Ok(LinkSocket { fd: Fd::new(fd)? })
    }

    /// Sends one packet, with `fds` if there are any; all of it or nothing.
    ///
    /// # Errors
    /// * `Full`: the peer has not read enough.
    /// * `TooManyInFlight`: the kernel takes no more descriptors of our user.
    /// * `Gone`: nobody will read it.
    /// * `System`: anything else; also more than a message's worth of
    ///   descriptors.
    pub fn send(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), SendPacketError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(SendPacketError::System(io::ErrorKind::InvalidInput.into()));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let call = if fds.is_empty() { Call::Send } else { Call::SendDescriptors };
        let sent = rustix::io::retry_on_intr(|| {
            refuse::at(call)?;
            rustix::net::sendmsg(&self.fd, &[IoSlice::new(packet)], &mut ancillary, flags)
        });
        match sent {
            Ok(_) => Ok(()),
            Err(Errno::AGAIN) => Err(SendPacketError::Full),
            Err(Errno::TOOMANYREFS) => Err(SendPacketError::TooManyInFlight),
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::CONNREFUSED) => {
                Err(SendPacketError::Gone)
            }
            Err(errno) => Err(SendPacketError::System(errno.into())),
        }
    }

    /// Rings the peer's bell: a packet of one byte. A full queue is bell enough,
    /// and of a death we hear otherwise. False where the system had no memory for
    /// it: then nobody was woken, and it must be rung again.
    pub fn ring(&self) -> bool {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let rung = rustix::io::retry_on_intr(|| {
            refuse::at(Call::Ring)?;
            rustix::net::send(&self.fd, &BELL, flags)
        });
        !matches!(rung, Err(Errno::NOMEM | Errno::NOBUFS))
    }

    /// Ends the connection both ways: the peer sees us hang up, and what it
    /// sends is refused.
    pub fn shutdown(&self) {
        // Errors mean that it has ended already.
        let _ = rustix::net::shutdown(&self.fd, rustix::net::Shutdown::Both);
    }

    /// The user who opened the other end, as of when it was connected. `None`
    /// where the kernel does not say.
    pub fn opened_by(&self) -> Option<u32> {
        let peer = rustix::net::sockopt::socket_peercred(&self.fd).ok()?;
        Some(peer.uid.as_raw())
    }

    /// Takes one packet, if one is there.
    pub fn receive(&self, buf: &mut [u8]) -> Received {
        packet::receive(self.fd.as_fd(), buf)
    }

    /// Asks the kernel no more to open a pidfd for every packet: for when we
    /// know who is there. Packets still come with pid, uid and gid, and
    /// [`Credentials::process`] zero.
    pub fn stop_asking(&self) {
        packet::ask_for_pidfd(self.fd.as_fd(), false);
    }
}

impl AsFd for LinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A socket that others connect to.
#[derive(Debug)]
pub struct Listener {
    fd: Fd,
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

impl Listener {
    /// Listens under an abstract name that the kernel chooses. Nothing lies in
    /// the file system, and nothing is left when we end.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind_abstract() -> io::Result<(Listener, Address)> {
        // Bound to no name at all, a socket gets one.
        let listener = Listener::bind(&SocketAddrUnix::new_unnamed())?;
        refuse::at(Call::GetSockName)?;
        let name = SocketAddrUnix::try_from(rustix::net::getsockname(&listener.fd)?)?;
        let address = name.abstract_name().and_then(Address::new);
        match address {
            Some(address) => Ok((listener, address)),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// Listens at a place in the file system. The file is there until somebody
    /// removes it; who may connect is whom its mode lets write.
    ///
    /// # Errors
    /// What the system says: `AddrInUse` where something lies there already.
    pub fn bind_path(path: &Path) -> io::Result<Listener> {
        Listener::bind(&SocketAddrUnix::new(path)?)
    }

    /// Takes a socket that somebody else has bound and listens at: the manager of
    /// services that started us, or our predecessor. Who connected before this, and
    /// waits, is accepted as any other; what it sent already comes with its sender, for
    /// the kernel notes that of whoever is not accepted yet.
    ///
    /// # Errors
    /// `InvalidInput` where it is not a `SOCK_SEQPACKET` UNIX socket that listens.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Listener> {
        use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
        let right = socket_domain(&fd) == Ok(AddressFamily::UNIX)
            && socket_type(&fd) == Ok(SocketType::SEQPACKET)
            && socket_acceptconn(&fd) == Ok(true);
        if !right {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        packet::ask_who(fd.as_fd())?;
        Ok(Listener { fd: Fd::new(fd)? })
    }

    /// The place in the file system where it listens, if that is what it was bound to.
    pub fn path(&self) -> Option<PathBuf> {
        let name = SocketAddrUnix::try_from(rustix::net::getsockname(&self.fd).ok()?).ok()?;
        let path = name.path()?;
        Some(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
    }

    /// The socket, for who goes on listening at it. `None` in a forked child.
    pub fn into_fd(self) -> Option<OwnedFd> {
        self.fd.into_owned()
    }

    fn bind(address: &SocketAddrUnix) -> io::Result<Listener> {
        let fd = unconnected()?;
        refuse::at(Call::Bind)?;
        rustix::net::bind(&fd, address)?;
        refuse::at(Call::Listen)?;
        rustix::net::listen(&fd, BACKLOG)?;
        Ok(Listener { fd: Fd::new(fd)? })
    }

    /// Takes one connection, if one waits.
    ///
    /// # Errors
    /// What the system says; most often that the process has no descriptor
    /// left.
    pub fn accept(&self) -> io::Result<Option<LinkSocket>> {
        let accepted = rustix::io::retry_on_intr(|| {
            refuse::at(Call::Accept)?;
            rustix::net::accept_with(&self.fd, BIRTH)
        });
        match accepted {
            Ok(fd) => {
                // Inherited from the listener; said again in case it was not.
                packet::ask_who(fd.as_fd())?;
                Ok(Some(LinkSocket { fd: Fd::new(fd)? }))
            }
            Err(Errno::AGAIN | Errno::CONNABORTED) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A socket that will say who sent what, and is not connected yet.
fn unconnected() -> io::Result<OwnedFd> {
    refuse::at(Call::Socket)?;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, BIRTH, None)?;
    packet::ask_who(fd.as_fd())?;
    Ok(fd)
}
