"""Rows and sounds of a PBX on another host: sent by ``hotline ship``, kept in a spool."""
