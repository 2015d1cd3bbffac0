"""Which raw columns are which canonical ones: written by hand for every export at hand, to hold the mapper's proposals against.

An entry is ``file: (folder, table, area, truth)``; truth is one line a canonical column, ``column = raw`` with ``+`` between raw columns that
belong together, ``|`` between what is equally right, and ``?`` behind a column that may as well be left out. ``lon`` and ``lat`` are ``place``
(longitude or easting first). The key made of the row's values is written ``(made)``, a fixed value ``(fixed)``. ``nibrs`` is not judged here.
Files of ``BUILT`` were looked at while the synonyms were written; those of ``HELD`` were not run before the first count was taken.
"""

from __future__ import annotations

AREAS: dict[str, tuple[str, tuple[float, float, float, float]]] = {
    "chicago": ("America/Chicago", (-87.95, 41.64, -87.52, 42.03)),
    "dc": ("America/New_York", (-77.12, 38.79, -76.90, 39.00)),
    "stlouis": ("America/Chicago", (-90.33, 38.52, -90.16, 38.78)),
    "sanantonio": ("America/Chicago", (-98.80, 29.20, -98.20, 29.75)),
    "newyork": ("America/New_York", (-74.26, 40.49, -73.70, 40.92)),
    "sanfrancisco": ("America/Los_Angeles", (-122.53, 37.70, -122.35, 37.84)),
    "losangeles": ("America/Los_Angeles", (-118.70, 33.70, -118.10, 34.35)),
    "seattle": ("America/Los_Angeles", (-122.45, 47.48, -122.20, 47.75)),
    "neworleans": ("America/Chicago", (-90.14, 29.86, -89.60, 30.20)),
    "wilmington": ("America/New_York", (-78.00, 34.10, -77.80, 34.35)),
    "oakland": ("America/Los_Angeles", (-122.35, 37.69, -122.11, 37.89)),
    "vancouver": ("America/Vancouver", (-123.23, 49.19, -123.02, 49.32)),
    "montgomery_pa": ("America/New_York", (-75.70, 39.95, -75.00, 40.45)),
    "montgomery_md": ("America/New_York", (-77.53, 38.93, -76.88, 39.36)),
    "yorkshire": ("Europe/London", (-2.30, 53.40, -1.10, 54.00)),
    "nashville": ("America/Chicago", (-87.06, 35.96, -86.51, 36.41)),
    "sandiego": ("America/Los_Angeles", (-117.30, 32.53, -116.90, 33.11)),
    "hartford": ("America/New_York", (-72.72, 41.72, -72.64, 41.81)),
    "austin": ("America/Chicago", (-97.95, 30.10, -97.55, 30.52)),
    "honolulu": ("Pacific/Honolulu", (-158.30, 21.25, -157.60, 21.72)),
    "rockford": ("America/Chicago", (-89.20, 42.20, -88.90, 42.36)),
    "santarosa": ("America/Los_Angeles", (-122.80, 38.38, -122.62, 38.51)),
    "cincinnati": ("America/New_York", (-84.72, 39.05, -84.36, 39.23)),
    "lancashire": ("Europe/London", (-3.10, 53.45, -2.00, 54.30)),
    "nottingham": ("Europe/London", (-1.25, 52.88, -1.08, 53.03)),
}

BUILT: dict[str, tuple[str, str, str, str]] = {
    "Crimes_-_2017.csv.gz": (
        "chicago",
        "incidents",
        "chicago",
        """
        incident_id = ID
        report_number = Case Number
        started_at = Date
        offence_code = IUCR
        offence = Primary Type
        offence_detail = Description
        premise = Location Description
        address = Block
        place = Longitude + Latitude | X Coordinate + Y Coordinate
        beat = Beat
        district = District
        arrest = Arrest
        domestic = Domestic
        revised_at = Updated On""",
    ),
    "chicago_crimes.csv": (
        "samples",
        "incidents",
        "chicago",
        """
        incident_id = id
        report_number = case_number
        started_at = date
        offence_code = iucr
        offence = primary_type
        offence_detail = description
        premise = location_description
        address = block
        place = longitude + latitude | x_coordinate + y_coordinate
        beat = beat
        district = district
        arrest = arrest
        domestic = domestic
        revised_at = updated_on""",
    ),
    "nypd_complaints_historic.csv": (
        "samples",
        "incidents",
        "newyork",
        """
        incident_id = cmplnt_num
        started_at = cmplnt_fr_dt + cmplnt_fr_tm
        ended_at = cmplnt_to_dt + cmplnt_to_tm
        reported_at = rpt_dt
        offence_code = pd_cd | ky_cd
        offence = ofns_desc
        offence_detail = pd_desc
        attempted = crm_atpt_cptd_cd
        premise = prem_typ_desc | loc_of_occur_desc
        place = longitude + latitude | x_coord_cd + y_coord_cd
        district = boro_nm | addr_pct_cd
        beat? = addr_pct_cd""",
    ),
    "san_francisco_police_calls.csv": (
        "samples",
        "calls",
        "sanfrancisco",
        """
        call_id = crime_id
        call_type = original_crimetype_name
        received_at = call_dttm | call_date + call_time
        disposition = disposition
        address = address""",
    ),
    "lapd_crime_2014.csv": (
        "samples",
        "incidents",
        "losangeles",
        """
        incident_id = dr_no
        report_number? = dr_no
        started_at = date_occ + time_occ
        reported_at = date_rptd
        offence_code = crm_cd
        offence = crm_cd_desc
        address = location | location + cross_street
        beat = rd
        district = area_name | area
        status = status_desc | status""",
    ),
    "new_orleans_calls_for_service_2017.csv": (
        "samples",
        "calls",
        "neworleans",
        """
        call_id = nopd_item
        call_type = typetext | type_
        initial_type = initialtypetext | initialtype
        priority = priority
        self_initiated = selfinitiated
        received_at = timecreate
        dispatched_at = timedispatch
        arrived_at = timearrive
        closed_at = timeclosed
        cleared_at? = timeclosed
        disposition = dispositiontext | disposition
        place = mapx + mapy
        address = block_address
        beat = beat
        category? = type_
        district = policedistrict""",
    ),
    "seattle_911_response.csv": (
        "samples",
        "calls",
        "seattle",
        """
        call_id = cad_event_number | cad_cdw_id
        call_type = event_clearance_description
        initial_type = initial_type_description
        category = event_clearance_group | event_clearance_subgroup
        received_at = event_clearance_date
        arrived_at = at_scene_time
        cleared_at = event_clearance_date
        disposition? = event_clearance_code | event_clearance_description
        report_number = general_offense_number
        address = hundred_block_location
        place = longitude + latitude
        beat = zone_beat
        district = district_sector""",
    ),
    "spd_alpr_2021-10-01_to_05.csv.gz": (
        "seattle_lpr",
        "reads",
        "seattle",
        """
        read_id = (made)
        plate = plate_hash
        plate_raw = plate_hash
        reader = device
        read_at = dt
        address = address
        place = lon + lat""",
    ),
    "Crime_Incidents_in_2024_partial.csv.gz": (
        "dc",
        "incidents",
        "dc",
        """
        incident_id = CCN
        report_number? = CCN
        started_at = START_DATE
        ended_at = END_DATE
        reported_at = REPORT_DAT
        offence = OFFENSE
        weapon = METHOD
        address = BLOCK
        place = X + Y | LONGITUDE + LATITUDE | XBLOCK + YBLOCK
        beat = PSA
        district = DISTRICT""",
    ),
    "Wilmington_ShotspotterCAD_calls.csv": (
        "cad_other",
        "calls",
        "wilmington",
        """
        call_id = (made)
        call_type = nature
        received_at = calltime
        dispatched_at = first Dispatch Time
        en_route_at = first unit on the way
        arrived_at = first unit there
        cleared_at = last unit to leave the scene
        closed_at = timeclose
        units = primeunit | FIRST UNIT DISPATCHED | FIRST UNIT DISPATCHED + primeunit
        disposition = closecode
        report_number = reptaken
        address = street
        narrative = notes
        place = Longitude + Latitude | geox + geoy""",
    ),
    "OakShots_latlong.csv": (
        "gunshots",
        "gunshots",
        "oakland",
        """
        gunshot_id = CAD_ | OBJECTID
        call_id? = CAD_
        fired_at = DATE___TIM
        kind = DESCRIPTIO | CALL_ID
        address = ADDRESS
        place = XCOORD + YCOORD | Xrough + Yrough
        beat = BEAT""",
    ),
    "Red_Light_Camera_Locations.csv": (
        "chicago",
        "cameras",
        "chicago",
        """
        camera_id = (made) | INTERSECTION
        kind = (fixed)
        name = INTERSECTION
        address? = INTERSECTION
        place = LONGITUDE + LATITUDE | LOCATION
        approaches = FIRST APPROACH + SECOND APPROACH + THIRD APPROACH
        active_from = GO LIVE DATE""",
    ),
    "sapd_2023-05.csv.gz": (
        "sanantonio_cad",
        "calls",
        "sanantonio",
        """
        call_id = IncidentNumber
        call_type = ProblemType
        category = Category
        received_at = ResponseDate
        address = Address
        place = LON + LAT
        beat = PatrolDistrict
        district = Substation""",
    ),
    "january2017.csv.gz": (
        "stlouis/raw/2017",
        "incidents",
        "stlouis",
        """
        incident_id = Complaint
        report_number? = Complaint
        started_at = DateOccur
        offence_code = Crime
        offence = Description
        premise = LocationName
        address = ILEADSAddress + ILEADSStreet | CADAddress + CADStreet
        place = XCoord + YCoord
        district = District
        narrative? = LocationComment
        unfounded? = FlagUnfounded""",
    ),
}

HELD: dict[str, tuple[str, str, str, str]] = {
    "Crime_Incidents_in_2018_partial.csv.gz": (
        "dc",
        "incidents",
        "dc",
        """
        incident_id = CCN
        report_number? = CCN
        started_at = START_DATE
        ended_at = END_DATE
        reported_at = REPORT_DAT
        offence = OFFENSE
        weapon = METHOD
        address = BLOCK
        place = X + Y | LONGITUDE + LATITUDE | XBLOCK + YBLOCK
        beat = PSA
        district = DISTRICT""",
    ),
    "austin_incident_extract.csv": (
        "samples",
        "incidents",
        "austin",
        """
        incident_id = incident_report_number
        report_number? = incident_report_number
        started_at = date + time
        offence = crime_type
        premise = location_type
        address = address
        place = longitude + latitude""",
    ),
    "hartford_police_calls.csv": (
        "samples",
        "calls",
        "hartford",
        """
        call_id = apno
        call_type = description_1
        received_at = date + time_24hr
        address = address
        self_initiated = call_initiated_by
        call_source? = call_initiated_by
        priority = priority
        district? = neighborhood
        narrative? = description_2
        category? = description_2""",
    ),
    "honolulu_incidents.csv": (
        "samples",
        "incidents",
        "honolulu",
        """
        incident_id = kilonbr | objectid | cmid
        report_number? = kilonbr
        started_at = date
        offence = type
        address = blockaddress
        status = status""",
    ),
    "lapd_calls_2015.csv": (
        "samples",
        "calls",
        "losangeles",
        """
        call_id = incident_number
        call_type = call_type_text
        category? = call_type_code
        received_at = dispatch_date + dispatch_time
        dispatched_at = dispatch_date + dispatch_time
        beat = rpt_dist
        district = area_occ""",
    ),
    "montgomery_county_crime.csv": (
        "samples",
        "incidents",
        "montgomery_md",
        """
        incident_id = incident_id
        report_number = case_number
        started_at = start_date
        ended_at = end_date
        reported_at? = date
        offence_code = incident_type
        offence = narrative
        premise = place
        address = location
        beat = beat
        district = district | police_district_number""",
    ),
    "rockford_dispatch.csv": (
        "samples",
        "calls",
        "rockford",
        """
        call_id = event_number
        call_type = incident_type
        received_at = dispatch_datetime | dispatch_date + dispatch_time
        dispatched_at = dispatch_datetime | dispatch_date + dispatch_time
        address = full_address
        beat = reporting_district""",
    ),
    "san_francisco_incidents_2003_2018.csv": (
        "samples",
        "incidents",
        "sanfrancisco",
        """
        incident_id = pdid | incidntnum
        report_number = incidntnum
        started_at = date + time
        offence = category
        offence_detail = descript
        address = address
        place = x + y
        district = pddistrict
        status = resolution""",
    ),
    "santa_rosa_calls.csv": (
        "samples",
        "calls",
        "santarosa",
        """
        call_id = event_num | id
        call_type = nature_description | nature_code
        category? = nature_code
        received_at = date_time
        call_source = event_source
        self_initiated? = event_source
        disposition = disposition | disposition_code
        report_number = incident_num
        address = location
        beat = beat_zone""",
    ),
    "seattle_police_report_incident.csv": (
        "samples",
        "incidents",
        "seattle",
        """
        incident_id = rms_cdw_id | general_offense_number
        report_number = general_offense_number
        started_at = occurred_date_or_date_range_start
        ended_at = occurred_date_range_end
        reported_at = date_reported
        offence_code = offense_code | offense_code + offense_code_extension | summary_offense_code
        offence = offense_type | summarized_offense_description
        offence_detail? = offense_type | summarized_offense_description
        address = hundred_block_location
        place = longitude + latitude
        beat = zone_beat
        district = district_sector""",
    ),
    "montgomery_pa_911.csv.gz": (
        "cad_other",
        "calls",
        "montgomery_pa",
        """
        call_id = (made)
        call_type = title
        received_at = timeStamp
        address = addr
        place = lng + lat
        narrative = desc
        district? = twp""",
    ),
    "nashville_calls_2024.csv.gz": (
        "cad_other",
        "calls",
        "nashville",
        """
        call_id = Event Number
        call_type = Tencode Description | Tencode
        category? = Tencode Suffix Description | Tencode | Tencode Suffix
        received_at = Call_Received
        units = Unit Dispatched
        disposition = Disposition Description | Disposition Code
        report_number = Complaint Number
        address = Block + Street Name
        place = Longitude + Latitude
        beat = Zone | RPA
        district = Sector""",
    ),
    "sandiego_pd_calls_for_service_2023_datasd.csv.gz": (
        "cad_other",
        "calls",
        "sandiego",
        """
        call_id = incident_num
        call_type = call_type
        received_at = date_time
        priority = priority
        disposition = disposition
        address = address_number_primary + address_dir_primary + address_road_primary + address_sfx_primary
        beat = beat""",
    ),
    "San_Francisco_ShotSpotter.csv": (
        "gunshots",
        "gunshots",
        "sanfrancisco",
        """
        gunshot_id = ID
        fired_at = Date + Time
        kind = Type
        rounds = Rnds
        disposition = DISPO
        address = returned address
        place = Longitude + Latitude
        beat = Beat""",
    ),
    "dc_shotspotter_incidents_2006_2013.csv.gz": (
        "gunshots",
        "gunshots",
        "dc",
        """
        gunshot_id = Incident ID
        fired_at = Date Time
        kind = Type
        place = Longitude-100meter + Latitude-100meter
        district = Coverage Area""",
    ),
    "st_louis_data.csv": (
        "gunshots",
        "gunshots",
        "stlouis",
        """
        gunshot_id = (made)
        fired_at = Date
        time_precision = (fixed)
        kind = Type
        place = Longitude + Latitude""",
    ),
    "Speed_Camera_Locations.csv": (
        "chicago",
        "cameras",
        "chicago",
        """
        camera_id = ID | LOCATION ID
        kind = (fixed)
        name? = ADDRESS | LOCATION ID
        address = ADDRESS
        place = LONGITUDE + LATITUDE | LOCATION
        approaches = FIRST APPROACH + SECOND APPROACH
        active_from = GO-LIVE DATE""",
    ),
    "cincinnati_burglary.csv.gz": (
        "incident_samples",
        "incidents",
        "cincinnati",
        """
        incident_id = incident_no | (made)
        report_number? = incident_no
        started_at = offense_date
        offence = offense
        time_precision? = (fixed)
        place = longitude + latitude""",
    ),
    "vancouver_thefts.csv.gz": (
        "incident_samples",
        "incidents",
        "vancouver",
        """
        incident_id = (made)
        started_at = YEAR + MONTH + DAY + HOUR + MINUTE
        offence = TYPE
        address = HUNDRED_BLOCK
        district? = NEIGHBOURHOOD
        place = X + Y""",
    ),
    "2017-07-west-yorkshire-street.csv.gz": (
        "uk",
        "incidents",
        "yorkshire",
        """
        incident_id = Crime ID | (made)
        report_number? = Crime ID
        started_at = Month
        time_precision = (fixed)
        offence = Crime type
        address = Location
        place = Longitude + Latitude
        status = Last outcome category
        beat? = LSOA name | LSOA code
        narrative? = Context
        district? = LSOA name | Falls within | Reported by""",
    ),
    "san_francisco_robbery.csv": (
        "incident_samples",
        "incidents",
        "sanfrancisco",
        """
        incident_id = uid
        started_at = date_time
        offence = offense_type
        place = longitude + latitude""",
    ),
    "nyc_shootings.csv": (
        "incident_samples",
        "incidents",
        "newyork",
        """
        incident_id = incident_key
        report_number? = incident_key
        started_at = occur_date
        time_precision = (fixed)
        district = boro
        place = longitude + latitude""",
    ),
    "aoristic_NYburg.csv": (
        "incident_samples",
        "incidents",
        "newyork",
        """
        incident_id = (made)
        started_at = CMPLNT_FR_DT + CMPLNT_FR_TM
        ended_at = CMPLNT_TO_DT + CMPLNT_TO_TM
        place = X_COORD_CD + Y_COORD_CD""",
    ),
    "aoristic_dcburglaries.csv": (
        "dc",
        "incidents",
        "dc",
        """
        incident_id = (made)
        started_at = StartDateTime
        ended_at = EndDateTime
        place = X + Y""",
    ),
    "lancashire_asb.tab.gz": (
        "incident_samples",
        "incidents",
        "lancashire",
        """
        incident_id = (made)
        started_at = month
        time_precision = (fixed)
        address = location
        beat? = lsoa_code
        place = longitude + latitude""",
    ),
    "may2017.csv": (
        "stlouis/raw/2017",
        "incidents",
        "stlouis",
        """
        incident_id = Complaint
        report_number? = Complaint
        started_at = Date Occur
        offence_code = Crime
        offence = Description
        premise = Location Name
        address = ILEADS-Address + ILEADS-Street | CAD-Address + CAD-Street
        place = X-Coord + Y-Coord
        beat = Beat
        district = District
        reported_at? = ILeads Add
        revised_at? = ILeads Approve | ILeads Add | Date Crime Coded
        narrative? = Location Comment
        unfounded? = Flag-Unfounded""",
    ),
}
