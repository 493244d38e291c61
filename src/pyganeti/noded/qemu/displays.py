"""What a person looks at and listens to: VNC, SPICE, VGA, keyboard, mouse, sound, USB."""

import ipaddress
from collections.abc import Iterator
from typing import Final

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded.qemu import capabilities, options, places

_VNC_BASE: Final = 5900
_SOUND: Final = {
    "ac97": ("AC97",),
    "adlib": ("adlib",),
    "cs4231a": ("cs4231a",),
    "es1370": ("ES1370",),
    "gus": ("gus",),
    "hda": ("intel-hda", "hda-duplex"),
    "sb16": ("sb16",),
}
_USB: Final = {
    "braille": "usb-braille",
    "keyboard": "usb-kbd",
    "mouse": "usb-mouse",
    "tablet": "usb-tablet",
    "wacom-tablet": "usb-wacom-tablet",
}


def devices(hvparams: hypervisors.HvParams, known: capabilities.Capabilities) -> list[str]:
    """Return the options for what the guest sees of it."""
    words = ["-usb"]
    mouse = hvparams.usb_mouse or ("tablet" if hvparams.vnc_bind_address else "")
    for device in (mouse, *hvparams.usb_devices.split(",")):
        if device:
            words += ["-device", _usb(device, known)]
    vga = hvparams.vga or ("qxl" if hvparams.spice_bind else "std")
    words += ["-vga", vga]
    if hvparams.soundhw:
        backend = "spice" if hvparams.spice_bind else "none"
        words += ["-audiodev", f"{backend},id=audio0"]
        for card in hvparams.soundhw.split(","):
            words += _sound(card, known)
    if hvparams.spice_bind and hvparams.spice_use_vdagent:
        words += ["-device", "virtio-serial-pci,id=spice"]
        words += ["-chardev", "spicevmc,id=spicechannel0,name=vdagent"]
        words += ["-device", "virtserialport,chardev=spicechannel0,name=com.redhat.spice.0"]
    return words


def servers(
    instance: instances.Instance,
    address: str,
    where: places.Places,
    known: capabilities.Capabilities,
) -> list[str]:
    """Return the options for who looks at it from outside.

    ``address`` is the IP address to listen on, or a directory, which the parameters may give as
    the name of an interface. It differs from node to node.
    """
    hvparams = instance.hvparams
    words = ["-k", hvparams.keymap] if hvparams.keymap else []
    if hvparams.vnc_bind_address:
        return [*words, *_vnc(instance, address)]
    if hvparams.spice_bind:
        if not known.has_spice:
            raise errors.BadInput(f"{known.path} has no SPICE")
        return [*words, "-display", "none", "-spice", _spice(instance, address, where)]
    return [*words, "-display", "none"]


def _vnc(instance: instances.Instance, address: str) -> Iterator[str]:
    hvparams = instance.hvparams
    yield "-display"
    yield "none"
    more: dict[str, options.Value] = {}
    if hvparams.vnc_tls:
        more["tls-creds"] = "vnctls0"
        yield "-object"
        if hvparams.vnc_x509_path:
            yield options.render(
                "tls-creds-x509",
                {
                    "id": "vnctls0",
                    "endpoint": "server",
                    "dir": hvparams.vnc_x509_path,
                    "verify-peer": hvparams.vnc_x509_verify,
                },
            )
        else:
            yield "tls-creds-anon,id=vnctls0,endpoint=server"
    if hvparams.vnc_password_file:
        more["password"] = True
    yield "-vnc"
    if address.startswith("/"):
        yield options.render(f"unix:{options.text(f'{address}/{instance.name}.vnc')}", more)
        return
    port = instance.network_port or 0
    if port <= _VNC_BASE:
        raise errors.BadInput(f"{instance.name} has VNC, but no network port above {_VNC_BASE}")
    host = f"[{address}]" if ":" in address else "" if address == "0.0.0.0" else address  # noqa: S104
    yield options.render(f"{host}:{port - _VNC_BASE}", more)


def _spice(instance: instances.Instance, address: str, where: places.Places) -> str:
    hvparams = instance.hvparams
    values: dict[str, options.Value] = {"addr": address}
    if hvparams.spice_use_tls:
        certificate = str(where.paths.state_dir / "spice.pem")
        values |= {
            "tls-port": instance.network_port,
            "x509-cacert-file": str(where.paths.state_dir / "spice-ca.pem"),
            "x509-key-file": certificate,
            "x509-cert-file": certificate,
            "tls-ciphers": hvparams.spice_tls_ciphers or None,
        }
    else:
        values["port"] = instance.network_port
    values["disable-ticketing"] = None if hvparams.spice_password_file else True
    values[f"ipv{ipaddress.ip_address(address).version}"] = True
    values |= {
        "image-compression": hvparams.spice_image_compression or None,
        "jpeg-wan-compression": hvparams.spice_jpeg_wan_compression or None,
        "zlib-glz-wan-compression": hvparams.spice_zlib_glz_wan_compression or None,
        "streaming-video": hvparams.spice_streaming_video or None,
        "playback-compression": None if hvparams.spice_playback_compression else False,
        "agent-mouse": None if hvparams.spice_use_vdagent else False,
    }
    return options.render("", values)


def _sound(card: str, known: capabilities.Capabilities) -> list[str]:
    if card not in _SOUND:
        raise errors.BadInput(f"soundhw {card} is none of: {', '.join(_SOUND)}")
    *before, last = (known.need(device) for device in _SOUND[card])
    return [*(w for d in before for w in ("-device", d)), "-device", f"{last},audiodev=audio0"]


def _usb(device: str, known: capabilities.Capabilities) -> str:
    """Return what qemu's old ``-usbdevice`` meant, as a device."""
    kind, _, rest = device.partition(":")
    if kind == "host":
        for separator, keys in ((".", ("hostbus", "hostaddr")), (":", ("vendorid", "productid"))):
            first, found, second = rest.partition(separator)
            if found:
                base = "0x" if separator == ":" else ""
                values = dict(zip(keys, (base + first, base + second), strict=True))
                return options.render(known.need("usb-host"), values)
        raise errors.BadInput(f"usb_devices {device} names no device of the host")
    return known.need(_USB.get(device, f"usb-{device}" if device.isalnum() else device))
