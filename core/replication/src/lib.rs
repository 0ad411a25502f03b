//! The log, its snapshot and the stream that carries it; generic over what it carries.
