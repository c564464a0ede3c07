"""Call control and the record of calls for public hotlines, on Asterisk over AMI."""
