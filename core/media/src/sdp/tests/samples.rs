//! Descriptions as phones write them.

pub const YEALINK: &str = "v=0\r
o=- 20005 20005 IN IP4 192.168.1.21\r
s=SDP data\r
c=IN IP4 192.168.1.21\r
t=0 0\r
m=audio 11780 RTP/AVP 9 0 8 18 101\r
a=rtpmap:9 G722/8000\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:18 G729/8000\r
a=fmtp:18 annexb=no\r
a=fmtp:101 0-15\r
a=rtpmap:101 telephone-event/8000\r
a=ptime:20 \r
a=sendrecv\r
";

/// Offers the same audio encrypted first, and plain second; video third.
pub const POLYCOM: &str = "v=0\r
o=- 1700000000 1700000000 IN IP4 172.18.0.5\r
s=Polycom IP Phone\r
c=IN IP4 172.18.0.5\r
b=AS:512\r
t=0 0\r
a=sendrecv\r
m=audio 2224 RTP/SAVP 9 0 127\r
a=rtpmap:9 G722/8000\r
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:bm90IGEgcmVhbCBrZXkgYXQgYWxsLCBzb3JyeSEh\r
a=rtpmap:127 telephone-event/8000\r
m=audio 2226 RTP/AVP 9 102 0 8 127\r
a=rtpmap:9 G722/8000\r
a=rtpmap:102 G7221/16000\r
a=fmtp:102 bitrate=32000\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:127 telephone-event/8000\r
m=video 2228 RTP/AVP 109\r
a=rtpmap:109 H264/90000\r
";

/// With ICE, multiplexed RTCP and feedback.
pub const BARESIP: &str = "v=0\r
o=- 2890844526 3104520943 IN IP4 10.77.0.21\r
s=-\r
c=IN IP4 10.77.0.21\r
t=0 0\r
a=tool:baresip 1.0.0\r
a=ice-ufrag:mJ3q\r
a=ice-pwd:4Q0mHqLhPq3hA1JvZt0bNw\r
m=audio 4102 RTP/AVPF 96 0 8 101\r
a=rtpmap:96 opus/48000/2\r
a=fmtp:96 stereo=1;sprop-stereo=1\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=rtcp:4103\r
a=rtcp-mux\r
a=rtcp-fb:96 nack\r
a=rtcp-fb:* ccm\r
a=candidate:1 1 UDP 2113937151 10.77.0.21 4102 typ host\r
a=end-of-candidates\r
a=sendrecv\r
a=label:1\r
a=ptime:20\r
";

pub const SIPP: &str = "v=0\r
o=user1 53655765 2353687637 IN IP4 127.0.1.1\r
s=-\r
c=IN IP4 127.0.1.1\r
t=0 0\r
m=audio 6000 RTP/AVP 0\r
a=rtpmap:0 PCMU/8000\r
";

/// Its connection is the media line's, and payload numbers that RFC 3551 explains have no `rtpmap`.
pub const CISCO: &str = "v=0\r
o=Cisco-SIPUA 26529 0 IN IP4 10.1.2.3\r
s=SIP Call\r
b=AS:4064\r
t=0 0\r
m=audio 16602 RTP/AVP 0 8 18 101\r
c=IN IP4 10.1.2.3\r
b=TIAS:64000\r
a=fmtp:18 annexb=no\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-16\r
";
